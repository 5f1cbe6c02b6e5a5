"""Whether the head of a request is one: its target, its Host; and whether a request is there as a whole.

Source: RFC 9112 sections 3.2 and 6; RFC 9110 section 7.2.
"""

import re
from collections.abc import Sequence

_NAME = rb"(?:[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252})|\[[0-9A-Fa-f:.]{2,45}\])"
_HOST = re.compile(_NAME + rb"(?::[0-9]{1,5})?")
_WHOLE = re.compile(rb"POST (/[!-~]*) HTTP/1\.1\r\n(?:[A-Za-z-]+:[ -~]*\r\n)+\r\n")
_HOST_LINE = re.compile(rb"\r\nhost: *" + _HOST.pattern + rb" *\r\n")
_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]{1,9}) *\r\n")
_FRAMING = re.compile(rb"\r\n(?:(?:proxy-)?connection|expect|transfer-encoding|upgrade):")
_CREDENTIALS = re.compile(rb"\r\nauthorization: *([^\r]*)")
_ABSOLUTE = re.compile(rb"https?://([^/?#]*)(?:[/?#].*)?", re.IGNORECASE | re.DOTALL)


def is_well_formed(target: bytes, headers: Sequence[tuple[bytes, bytes]], *, http_version: str) -> bool:
    """Whether it names one host, and the same one wherever it names it. Nothing here ever relies on that name.

    A proxy that reads it otherwise than we do would be led astray (CVE-2026-48710): what is in doubt is refused.
    """
    hosts = [value for name, value in headers if name == b"host"]
    if len(hosts) > 1 or (not hosts and http_version == "1.1"):
        return False
    if (hosts and not _HOST.fullmatch(hosts[0])) or b"%00" in target:
        return False  # no path of ours has a NUL, and not every database can hold one
    if target.startswith(b"/"):
        return True
    absolute = _ABSOLUTE.fullmatch(target)
    return absolute is not None and bool(hosts) and absolute[1].lower() == hosts[0].lower()


def credentials_of(headers: Sequence[tuple[bytes, bytes]]) -> bytes:
    """The Authorization; empty if there is none."""
    return next((value for name, value in headers if name == b"authorization"), b"")


def whole_request(data: bytes) -> tuple[bytes, bytes] | None:
    """Target and credentials (these in small letters) of a POST, if these are its bytes, all of them and no others,
    and nothing is in doubt; else None.

    Only what any reader of HTTP/1.1 reads alike: one host, a length said once, nothing else about the framing.
    """
    found = _WHOLE.match(data)
    if found is None:
        return None
    head = data[: found.end() - 2].lower()
    host, length = _HOST_LINE.search(head), _LENGTH.search(head)
    if host is None or length is None or int(length[1]) != len(data) - found.end():
        return None
    if head.count(b"\r\nhost:") > 1 or head.count(b"\r\ncontent-length:") > 1 or _FRAMING.search(head):
        return None
    credentials = _CREDENTIALS.search(head)
    return found[1], credentials[1] if credentials else b""
