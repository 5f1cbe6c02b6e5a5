"""The operator's log: a line of JSON for each event, with the fields of a list and no others.

A field that is not on the list is left out, whoever logs it: so a new line cannot tell of a person by accident.
Libraries log their event's text as it stands in their code, without what they would fill in, and of an exception
its class and where it came from. Source: security 3.4; OWASP ASVS 5.0, 16.4.1.
"""

import json
import logging
import traceback
from collections.abc import MutableMapping
from datetime import UTC, datetime
from typing import Any, TextIO

import orjson
import structlog

FIELDS = frozenset(
    {
        *("event", "level", "timestamp", "error", "at"),
        *("request_id", "route", "method", "status", "code", "milliseconds", "relying_party", "operation", "cost"),
        *("authority", "fault", "reason", "number_kinds", "operations", "requests", "action"),
    }
)
"""What may be written. Identifiers of people, consents and answers are not among it, nor is anything they hold."""


def configure_logging(stream: TextIO, *, is_debug: bool = False, is_final: bool = False) -> None:
    """Let everything that is logged in this process go to this stream, libraries' warnings too.

    `is_final`: nobody configures it again in this process, so that loggers need not look it up for each line.
    """
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_LibraryLine())
    logging.basicConfig(level=logging.INFO if is_debug else logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)  # its warnings are for anybody to cause
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            only_listed,
            structlog.processors.JSONRenderer(serializer=_to_json),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG if is_debug else logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=is_final,
    )


def _to_json(event: Any, default: Any, **_: Any) -> str:
    return orjson.dumps(event, default=default).decode()


def only_listed(logger: Any, name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Leave out what is not on the list, and what has no value."""
    return {field: value for field, value in event.items() if field in FIELDS and value not in (None, "")}


class _LibraryLine(logging.Formatter):
    """A library's record as a line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC).isoformat()
        first_line = str(record.msg).partition("\n")[0]  # further down asyncio writes what an exception says
        line = {"event": first_line, "level": record.levelname.lower(), "timestamp": moment}
        if record.exc_info and record.exc_info[0] is not None:
            frames = traceback.extract_tb(record.exc_info[2])
            line["error"] = record.exc_info[0].__name__
            line["at"] = f"{frames[-1].name}:{frames[-1].lineno}" if frames else ""
        return json.dumps(line)
