"""The words between a child and its supervisor: small JSON packets on a socket that both hold while they live."""

from __future__ import annotations

import json
import select
import socket
from typing import Any

LONGEST = 1 << 16
Word = dict[str, Any]


def tell(sock: socket.socket, **word: Any) -> bool:
    """Whether the other side still takes words; one that is too slow misses some, and nobody waits for it."""
    try:
        sock.send(json.dumps(word).encode()[:LONGEST], socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return True


def hear(sock: socket.socket) -> Word | None:
    """The next word, an empty one when there is none yet, None when the other side is gone."""
    try:
        packet = sock.recv(LONGEST, socket.MSG_DONTWAIT)
    except BlockingIOError:
        return {}
    except OSError:
        return None
    if not packet:
        return None
    try:
        word = json.loads(packet)
    except ValueError:
        return {"odd": True}
    return word if isinstance(word, dict) else {"odd": True}


def is_gone(sock: socket.socket, *, within: float) -> bool:
    """Whether the other side ends within so many seconds. It says nothing on this side."""
    poll = select.poll()
    poll.register(sock, select.POLLIN | select.POLLHUP)
    return bool(poll.poll(within * 1000)) and hear(sock) is None
