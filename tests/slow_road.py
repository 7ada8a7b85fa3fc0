"""A road to a PACS that is as slow, as blocked or as silent as a test wants it."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from types import TracebackType
from typing import Any, Self

from pynetdicom import AE, evt

from tests.edge_samples import CT, EXPLICIT

_NEGOTIATION_BYTES = 2_000
"""More than an A-ASSOCIATE-RQ for one class: the faults begin behind it."""


class SlowRoad:
    """A PACS that takes CT, behind a proxy. `received` has the length of every data set that arrived whole."""

    def __init__(
        self, *, bytes_per_second: int = 0, stops_reading_after: int = 0, answers: bool = True, status: int = 0
    ) -> None:
        self._pace, self._stops_after, self._answers, self._status = (
            bytes_per_second,
            stops_reading_after,
            answers,
            status,
        )
        self.received: list[int] = []
        self._ended = threading.Event()
        pacs = AE(ae_title="PACS")
        pacs.add_supported_context(CT, EXPLICIT)
        server = pacs.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, self._take)])
        assert server is not None
        self._server = server
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(5)
        self.port: int = self._listener.getsockname()[1]
        self._sockets: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _t: TracebackType | None
    ) -> None:
        self._ended.set()
        for one in (self._listener, *self._sockets):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        self._thread.join(5)
        self._server.shutdown()

    def _take(self, event: evt.Event) -> int:
        request: Any = event.request
        self.received.append(len(request.DataSet.getbuffer()))
        return self._status

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _address = self._listener.accept()
                assert self._server.socket is not None
                far = socket.create_connection(self._server.socket.getsockname())
                self._sockets += [near, far]
                threading.Thread(target=self._up, args=(near, far), daemon=True).start()
                threading.Thread(target=self._down, args=(far, near), daemon=True).start()

    def _up(self, near: socket.socket, far: socket.socket) -> None:
        passed = 0
        with contextlib.suppress(OSError):
            while chunk := near.recv(1 << 16):
                far.sendall(chunk)
                passed += len(chunk)
                if passed > _NEGOTIATION_BYTES and self._pace:
                    time.sleep(len(chunk) / self._pace)
                if self._stops_after and passed > self._stops_after:
                    self._ended.wait()
        with contextlib.suppress(OSError):
            far.shutdown(socket.SHUT_WR)

    def _down(self, far: socket.socket, near: socket.socket) -> None:
        first = True
        with contextlib.suppress(OSError):
            while chunk := far.recv(1 << 16):
                if first or self._answers:  # the first one accepts the association
                    near.sendall(chunk)
                first = False
            near.shutdown(socket.SHUT_RDWR)
