"""Health and metrics over HTTP, for this site: `/healthz`, `/readyz`, `/status`, `/metrics`. Nothing can be changed."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from haproxy.errors import SettingsError


class LocalHttp:
    """Serves what the manager says of its pools."""

    def __init__(
        self,
        listen: str,
        *,
        alive: Callable[[], bool],
        facts: Callable[[], Mapping[str, Any]],
        metrics: Callable[[], str],
    ) -> None:
        host, _, port = listen.rpartition(":")
        functions = {"alive": staticmethod(alive), "facts": staticmethod(facts), "metrics": staticmethod(metrics)}
        try:
            self._server = ThreadingHTTPServer((host.strip("[]"), int(port)), type("Handler", (_Handler,), functions))
        except (OSError, ValueError, OverflowError) as error:
            raise SettingsError(f"cannot listen on {listen}: {error}", hint="Give --http HOST:PORT.") from error
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.2,), name="local-http", daemon=True)

    @property
    def address(self) -> str:
        """What is really bound, as HOST:PORT."""
        host, port = self._server.server_address[:2]
        return f"{host!s}:{port}"

    def start(self) -> None:
        """Serve."""
        self._thread.start()

    def stop(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    alive: Callable[[], bool]
    facts: Callable[[], Mapping[str, Any]]
    metrics: Callable[[], str]
    timeout = 10
    server_version = "skerry-haproxy"
    sys_version = ""

    def do_GET(self) -> None:
        """Answer one of the four paths."""
        match self.path.partition("?")[0]:
            case "/healthz":
                alive = self.alive()
                self._answer(
                    200 if alive else 503, "text/plain", "ok\n" if alive else "the manager's loop has stopped\n"
                )
            case "/readyz" | "/status" as path:
                facts = self.facts()
                status = 200 if path == "/status" or facts["ready"] else 503
                self._answer(status, "application/json", json.dumps(facts, indent=2) + "\n")
            case "/metrics":
                self._answer(200, "text/plain; version=0.0.4; charset=utf-8", self.metrics())
            case _:
                self._answer(404, "text/plain", "try /healthz, /readyz, /status or /metrics\n")

    def log_message(self, *_arguments: object) -> None:
        """Say nothing: probes come every few seconds."""

    def _answer(self, status: int, kind: str, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
