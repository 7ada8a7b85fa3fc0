"""Health and metrics over HTTP, for this machine: `/healthz`, `/readyz`, `/metrics`, `/status`."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client.exposition import CONTENT_TYPE_LATEST

from edge.settings import cannot_listen

Facts = Mapping[str, Any]


class LocalHttp:
    """Serves what a node says of itself. Reads only; nothing here can change anything."""

    def __init__(
        self, listen: str, *, alive: Callable[[], bool], facts: Callable[[], Facts], metrics: Callable[[], bytes]
    ) -> None:
        host, _, port = listen.rpartition(":")
        handler = type(
            "Handler",
            (_Handler,),
            {"alive": staticmethod(alive), "facts": staticmethod(facts), "metrics": staticmethod(metrics)},
        )
        try:
            self._server = ThreadingHTTPServer((host.strip("[]"), int(port)), handler)
        except OSError as error:
            raise cannot_listen(listen, error) from error
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.2,), name="local-http", daemon=True)

    @property
    def address(self) -> tuple[str, int]:
        """The address that is really bound."""
        host, port = self._server.server_address[:2]
        return str(host), int(port)

    def start(self) -> None:
        """Serve."""
        self._thread.start()

    def stop(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    alive: Callable[[], bool]
    facts: Callable[[], Facts]
    metrics: Callable[[], bytes]
    timeout = 10
    server_version = "skerry-edge"
    sys_version = ""

    def do_GET(self) -> None:
        """Answer one of the four paths."""
        match self.path.partition("?")[0]:
            case "/healthz":
                alive = self.alive()
                self._answer(200 if alive else 503, "text/plain", b"ok\n" if alive else b"a thread has died\n")
            case "/readyz" | "/status":
                facts = self.facts()
                status = 200 if facts["ready"] or self.path == "/status" else 503
                self._answer(status, "application/json", json.dumps(facts, indent=2).encode() + b"\n")
            case "/metrics":
                self._answer(200, CONTENT_TYPE_LATEST, self.metrics())
            case _:
                self._answer(404, "text/plain", b"try /healthz, /readyz, /status or /metrics\n")

    def log_message(self, *_arguments: object) -> None:
        """Say nothing: probes come every few seconds."""

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
