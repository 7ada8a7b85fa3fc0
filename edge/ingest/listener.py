"""The listening socket: one for a node, handed to its ingest processes, which take turns at it."""

from __future__ import annotations

import contextlib
import socket

from edge.settings import cannot_listen

BACKLOG = 512
"""Connections that wait in the kernel: a burst of modalities, or the moment in which a process is restarted."""


def listen(endpoint: str) -> socket.socket:
    """Listen at HOST:PORT; the socket does not block.

    Raises:
        SettingsError: the address cannot be listened on.
    """
    host, _, port = endpoint.rpartition(":")
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        found = socket.getaddrinfo(host, int(port), family, socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        listener = socket.socket(family, socket.SOCK_STREAM)
        with contextlib.ExitStack() as undo:
            undo.callback(listener.close)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(found[0][4])
            listener.listen(BACKLOG)
            undo.pop_all()
    except OSError as error:
        raise cannot_listen(endpoint, error) from error
    listener.setblocking(False)
    return listener
