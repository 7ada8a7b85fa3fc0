"""Local commands: one line of JSON each way, over a socket in the data directory that only its owner may use."""

from __future__ import annotations

import contextlib
import json
import socket
import socketserver
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import structlog

from haproxy import errors
from haproxy.errors import HaproxyError, ManagerAway

log = structlog.get_logger(__name__)
MOST_BYTES = 4 << 20
SECONDS = 60.0
"""A word may wait while a configuration goes live."""
Request = Mapping[str, Any]
Answer = Mapping[str, Any]


class ControlSocket:
    """Takes commands for a running manager; each connection has a thread, so that a slow one holds up nobody."""

    def __init__(self, path: Path, answer: Callable[[Request], Answer]) -> None:
        path.unlink(missing_ok=True)  # of a manager that was killed: the data directory is locked, so nobody uses it
        self._path = path
        handler = type("Handler", (_Handler,), {"answer": staticmethod(answer)})
        self._server = socketserver.ThreadingUnixStreamServer(str(path), handler, bind_and_activate=False)
        self._server.daemon_threads = True
        self._server.server_bind()
        path.chmod(0o600)  # before it listens
        self._server.server_activate()
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.2,), name="control", daemon=True)

    def start(self) -> None:
        """Take commands."""
        self._thread.start()

    def stop(self) -> None:
        """Take no more, and remove the socket."""
        self._server.shutdown()
        self._server.server_close()
        self._path.unlink(missing_ok=True)


class _Handler(socketserver.StreamRequestHandler):
    answer: Callable[[Request], Answer]
    timeout = 10

    def handle(self) -> None:
        """Read one line and answer it; a caller who went away is no matter."""
        with contextlib.suppress(OSError):
            line = self.rfile.readline(MOST_BYTES)
            self.wfile.write(json.dumps(self._answered(line)).encode() + b"\n")

    def _answered(self, line: bytes) -> Answer:
        try:
            return self.answer(dict(json.loads(line)))
        except HaproxyError as error:
            return {"error": type(error).__name__, "text": str(error), "hint": error.hint}
        except (ValueError, KeyError, TypeError) as error:
            return {"error": "SettingsError", "text": f"the command cannot be read: {error}", "hint": ""}
        except OSError as error:
            log.error("control.failed", error=str(error))
            return {"error": "HaproxyError", "text": f"the disk did not take it: {error.strerror}", "hint": ""}


def ask_manager(path: Path, request: Request, *, seconds: float = SECONDS) -> Answer:
    """The running manager's answer.

    Raises:
        ManagerAway: none runs here.
        HaproxyError: it refused; the same kind of error that it raised.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(seconds)
            connection.connect(str(path))
            connection.sendall(json.dumps(request).encode() + b"\n")
            with connection.makefile("rb") as stream:
                answer = json.loads(stream.readline(MOST_BYTES))
    except OSError as error:
        raise ManagerAway(f"no skerry-haproxy answers in {path.parent}") from error
    except ValueError as error:
        raise ManagerAway("the skerry-haproxy that runs ended while it answered") from error
    if not isinstance(answer, dict):
        raise ManagerAway("what answers is no skerry-haproxy")
    if "error" in answer:
        kind = getattr(errors, str(answer["error"]), HaproxyError)
        raise kind(str(answer.get("text", "")), hint=str(answer.get("hint", "")))
    return answer
