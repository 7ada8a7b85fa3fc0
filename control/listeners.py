"""Sockets, and uvicorn on sockets that are bound already: ports are known before the first request can come."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import uvicorn
from fastapi import FastAPI

from control.enrolment.own_certificates import OwnCertificate
from control.errors import SettingsError
from control.settings import Address

GRACE_SECONDS = 3
"""How long requests under way may take once a stop was asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundSocket:
    """A socket and where it really listens: the port is known even when 0 was asked for."""

    socket: socket.socket
    address: Address


def bind(wanted: Address) -> BoundSocket:
    """Take an address.

    Raises:
        SettingsError: somebody has it, or it is not of this machine.
    """
    family = socket.AF_INET6 if ":" in wanted.host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((wanted.host, wanted.port))
        # Listening from here on keeps a second process off the port; connections wait until serving begins.
        bound.listen(2048)
    except OSError as error:
        bound.close()
        raise SettingsError(
            f"Cannot listen on {wanted}: {error.strerror}.", hint="Choose another port, or stop who has it."
        ) from None
    return BoundSocket(socket=bound, address=Address(host=wanted.host, port=bound.getsockname()[1]))


class _QuietServer(uvicorn.Server):
    """uvicorn without its own signal handlers: one stop serves all listeners."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to the composition root."""
        yield


class HttpListener:
    """The application on one socket."""

    def __init__(
        self,
        app: FastAPI,
        bound: BoundSocket,
        *,
        certificate: OwnCertificate | None = None,
        trusted_proxies: Sequence[str] = (),
    ) -> None:
        """`trusted_proxies` may say in X-Forwarded headers who the client is; nobody else may."""
        self._bound = bound
        self._config = uvicorn.Config(
            app,
            lifespan="off",
            log_config=None,
            access_log=False,  # paths and queries name patients
            server_header=False,
            proxy_headers=bool(trusted_proxies),
            forwarded_allow_ips=list(trusted_proxies),
            timeout_graceful_shutdown=GRACE_SECONDS,
            ws_max_size=1 << 16,
            ssl_certfile=certificate.certificate_file if certificate else None,
            ssl_keyfile=certificate.key_file if certificate else None,
        )
        self._server = _QuietServer(self._config)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Return when requests are answered."""
        self._config.load()
        self._task = asyncio.create_task(self._server.serve(sockets=[self._bound.socket]))
        while not self._server.started:
            if self._task.done():
                await self._task
                raise SettingsError(f"The listener on {self._bound.address} did not start.")
            await asyncio.sleep(0.01)

    def use(self, certificate: OwnCertificate) -> None:
        """Show another certificate from the next connection on."""
        if self._config.ssl is not None:
            self._config.ssl.load_cert_chain(certificate.certificate_file, certificate.key_file)

    async def stop(self) -> None:
        """Let requests under way end, for a few seconds."""
        self._server.should_exit = True
        if self._task is not None:
            await self._task
