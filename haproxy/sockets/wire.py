"""One command and its whole answer over a UNIX socket, within a time and a size, or an error that says which."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from pathlib import Path

from haproxy.errors import AnswerGarbled, SocketGone

SECONDS = 5.0
MOST_BYTES = 16 << 20
"""More than a thousand servers need; a socket that talks without end is not HAProxy's."""

Ask = Callable[[str], str]
"""Sends one command and returns the answer as it came."""


def ask(path: Path, command: str, *, seconds: float = SECONDS) -> str:
    """The answer to one command; the connection is of its own, so that nothing of another answer can be in it.

    HAProxy closes after the answer. One that is still open when the time is up was not answered whole.

    Raises:
        SocketGone: nobody listens, or there is no end of the answer in time.
        AnswerGarbled: it is cut off or endless.
    """
    if "\n" in command or "\r" in command:
        raise ValueError("a command is one line")
    deadline = time.monotonic() + seconds
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(seconds)
            connection.connect(str(path))
            connection.sendall(command.encode("ascii") + b"\n")
            answer = _read_to_end(connection, deadline)
    except TimeoutError as error:
        raise SocketGone(f"{path.name} does not answer within {seconds:g} s") from error
    except OSError as error:
        raise SocketGone(f"{path.name} cannot be used: {error.strerror or error}") from error
    if not answer.endswith(b"\n"):
        raise AnswerGarbled(f"an answer on {path.name} was cut off")
    return answer.decode("utf-8", "replace")


def _read_to_end(connection: socket.socket, deadline: float) -> bytes:
    answer = bytearray()
    while True:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        connection.settimeout(left)
        piece = connection.recv(1 << 16)
        if not piece:
            return bytes(answer)
        answer += piece
        if len(answer) > MOST_BYTES:
            raise AnswerGarbled("the answer has no end")
