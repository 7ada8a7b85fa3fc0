"""A small real HTTP server that answers as a test wants."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

from provisioning.local.ports import LOOPBACK


class Answering:
    """Gives every request the answer that stands in `status`, `headers` and `body`."""

    def __init__(self) -> None:
        self.status, self.body, self.headers = 200, b"", dict[str, str]()
        self.hang_up = False
        self.hold = threading.Event()
        """Requests wait for it; clear it to let them hang."""
        self.hold.set()
        self.arrived = threading.Event()
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self._server = ThreadingHTTPServer((LOOPBACK, 0), self._handler())
        self._server.daemon_threads = True

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://{LOOPBACK}:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.hold.set()
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        wanted = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Nothing."""

            def _answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                wanted.requests.append((self.path, dict(self.headers), body))
                wanted.arrived.set()
                wanted.hold.wait(60)
                if wanted.hang_up:
                    self.close_connection = True
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                self.send_response(wanted.status)
                for name, value in {**wanted.headers, "Content-Length": str(len(wanted.body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(wanted.body)

            do_POST = do_PUT = do_HEAD = do_GET = do_DELETE = _answer  # noqa: N815

        return Handler


@contextmanager
def interrupted_after_arrival(server: Answering, interrupt: object) -> Iterator[None]:
    """Let requests hang, and call `interrupt` as soon as the first has arrived."""
    assert callable(interrupt)
    server.hold.clear()

    def wait() -> None:
        assert server.arrived.wait(20)
        interrupt()

    thread = threading.Thread(target=wait)
    thread.start()
    try:
        yield
    finally:
        thread.join(20)
