"""Those whom the kernel has connected to a listening socket and nobody has accepted yet: closing it would reset them.

Source: Linux, Documentation/networking/filter.rst; include/uapi/asm-generic/socket.h.
"""

import ctypes
import socket
import struct
import sys
from collections.abc import Iterator
from contextlib import suppress

_ATTACH_FILTER = 26
_NO_SYN = ((0x30, 0, 0, 13), (0x45, 0, 1, 0x02), (0x06, 0, 0, 0), (0x06, 0, 0, 0xFFFFFFFF))
"""Load the flags of TCP; if SYN is set, keep nothing of the segment, else all of it."""


def stop_arrivals(listener: socket.socket) -> None:
    """Let nobody else begin to connect. For good, and for every process that shares the socket.

    Whoever tries repeats it after a second, and finds another gateway by then, or that there is none. Linux alone can
    do this; elsewhere those who connect in the moment of the end are reset.
    """
    if sys.platform != "linux":
        return
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in _NO_SYN))
    with suppress(OSError):  # closed already, or a kernel without it
        given = struct.pack("HP", len(_NO_SYN), ctypes.addressof(program))
        listener.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, given)


def not_yet_accepted(listener: socket.socket) -> Iterator[socket.socket]:
    """The connections that wait at a socket; those of a socket that is closed are gone."""
    with suppress(OSError):  # the last of them is that there is none
        listener.setblocking(False)
        while True:
            connection, _ = listener.accept()
            yield connection
