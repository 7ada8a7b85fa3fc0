"""Free TCP ports of this machine."""

from __future__ import annotations

import os
import random
import socket

LOOPBACK = "127.0.0.1"

# Below the range from which the kernel takes the local ports of outgoing connections (32768 and up on Linux): a port
# from in there can be taken by any client, even by the very probe that asks whether somebody listens on it.
_FIRST, _END = 20000, 32000
# Programs that look at the same moment and begin to listen a second later look among different ports, nearly always.
_STRIDE = 16


def free_ports(count: int) -> tuple[int, ...]:
    """Distinct ports that nothing listens on now. Another process may still take one before you do."""
    found: list[int] = []
    own = range(_FIRST + os.getpid() % _STRIDE, _END, _STRIDE)
    for port in random.sample(own, len(own)):
        if len(found) == count:
            break
        if _can_bind(port):
            found.append(port)
    return tuple(found)


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
