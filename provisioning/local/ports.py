"""Free TCP ports of this machine."""

from __future__ import annotations

import random
import socket
from collections import deque

from provisioning.errors import ProgramFailed

LOOPBACK = "127.0.0.1"

# Below the range from which the kernel takes the local ports of outgoing connections (32768 and up on Linux): a port
# from in there can be taken by any client, even by the very probe that asks whether somebody listens on it.
_FIRST, _END = 20000, 32000
_REMEMBERED = 200
_reserved: deque[socket.socket] = deque()
"""The newest ports that this process gave out: none of our programs gives them out a second time meanwhile."""


def free_ports(count: int) -> tuple[int, ...]:
    """Distinct ports that nothing listens on now. A stranger may still take one before you do.

    Raises:
        ProgramFailed: nearly all are taken.
    """
    found: list[int] = []
    for port in random.sample(range(_FIRST, _END), 1000 + count):
        if len(found) == count:
            return tuple(found)
        if _reserve(port):
            found.append(port)
    raise ProgramFailed("hardly a port of this machine is free")


def _reserve(port: int) -> bool:
    """Whether nobody listens there, and no other process of ours was given it. Ends with this process."""
    token = socket.socket(socket.AF_UNIX)
    try:
        token.bind(f"\0skerry-port-{port}")  # a name of the kernel, not a file
    except OSError:
        token.close()
        return False
    if not _can_bind(port):
        token.close()
        return False
    _reserved.append(token)
    if len(_reserved) > _REMEMBERED:
        _reserved.popleft().close()
    return True


def free_port() -> int:
    """One port that nothing listens on now."""
    return free_ports(1)[0]


def is_open(port: int) -> bool:
    """Whether something accepts connections on this port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.settimeout(1)
        # A connection to itself (same port on both ends) is no listener.
        return probe.connect_ex((LOOPBACK, port)) == 0 and probe.getsockname() != probe.getpeername()


def _can_bind(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True
