"""Whoever uses the pages about what is held of them: what they open, send and read there."""

import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from gateway.sandbox import open_authorities, read_people
from gateway.sources import Sources
from tests.gateway.sandboxes import CONFIG, PROFILE, settings_for
from tests.portal.stage import Portal, Visitor, open_stage

DISPUTE = re.compile(r"/disputes/([0-9a-f-]{36})/close")


async def disputed(visitor: Visitor, statement: str = "It is wrong.", **about: str) -> str:
    """Dispute one claim or one record on the page; the dispute's id."""
    (kind, what), *_ = about.items()
    opened = await visitor.get(f"/disputes/new?{kind}={what}")
    assert opened.status_code == 200, opened.text
    done = await visitor.post("/disputes", {kind: what, "statement": statement})
    assert (done.status_code, done.headers["location"]) == (303, "/disputes?done=open"), done.text
    found = DISPUTE.search((await visitor.get("/disputes?done=open")).text)
    assert found is not None
    return found[1]


async def close(visitor: Visitor, dispute_id: str, ended: str = "WITHDRAWN") -> None:
    await visitor.get("/disputes")
    done = await visitor.post(f"/disputes/{dispute_id}/close", {"ended": ended})
    assert (done.status_code, done.headers["location"]) == (303, "/disputes?done=close"), done.text


def people_with(folder: Path, file: str, encoding: str, old: str, new: str) -> Path:
    """The sandbox's people, with one text changed wherever it stands in one authority's records."""
    made = shutil.copytree(CONFIG / "sandbox", folder / "people")
    text = (made / file).read_bytes().decode(encoding)
    assert old in text
    (made / file).write_bytes(text.replace(old, new).encode(encoding))
    return made


@asynccontextmanager
async def open_production(folder: Path) -> AsyncIterator[Portal]:
    """A portal outside the sandbox, whose authorities answer."""
    people = read_people(CONFIG / "sandbox")
    settings = settings_for(folder)
    async with open_authorities(settings, people.folder, today=people.clock_on, profile=PROFILE) as urls:
        sources = Sources(urls, poll_seconds=0.01, today=lambda: people.clock_on)
        async with open_stage(folder, sandbox=False, sources=sources, today=lambda: people.clock_on) as portal:
            yield portal
