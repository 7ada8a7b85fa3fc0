"""A sender for tests that can also do what no good modality does."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from typing import Any

from pydicom.uid import UID
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.presentation import build_context

from tests.edge_samples import CT, EXPLICIT

VERIFICATION = "1.2.840.10008.1.1"


class Gate(threading.Event):
    """Where the library's own thread stands still while a caller reads an answer.

    The library's event can be cleared between the thread's last look at it and its word that it stands; the thread
    then takes the answer away from the caller. Here `clear` returns when the thread stands, or is gone.
    """

    def __init__(self, thread: threading.Thread) -> None:
        super().__init__()
        self._thread, self._turn, self._stands = thread, threading.Lock(), False
        self.set()

    @property
    def stands(self) -> bool:
        """Whether the thread does."""
        return self._stands

    def set(self) -> None:
        with self._turn:
            self._stands = False
            super().set()

    def clear(self) -> None:
        super().clear()
        while not self._stands and self._thread.is_alive():
            time.sleep(0.0001)

    def wait(self, timeout: float | None = None) -> bool:
        with self._turn:
            if self.is_set():
                return True
            self._stands = True
        return super().wait(timeout)


class Standing(Association):
    """An association that is paused while the library's own thread stands at its gate.

    The library serves an N-EVENT-REPORT in a thread of its own, which says at its end that nothing is paused, also when
    something is; a release that came meanwhile would wait for ever.
    """

    @property
    def _is_paused(self) -> bool:
        gate = self._reactor_checkpoint
        return isinstance(gate, Gate) and gate.stands

    @_is_paused.setter
    def _is_paused(self, value: bool) -> None:
        """What the library says of it does not count."""


@contextmanager
def association(
    port: int,
    *,
    calling: str = "SCANNER",
    seconds: float = 10.0,
    offered: Sequence[str] = (CT, VERIFICATION),
    handlers: Sequence[Any] = (),
) -> Iterator[Any]:
    """An established association that offers these SOP classes in Explicit VR Little Endian."""
    ae = AE(ae_title=calling)
    ae.dimse_timeout = ae.network_timeout = ae.acse_timeout = seconds
    contexts = [build_context(one, EXPLICIT) for one in offered]
    opened = ae.associate("127.0.0.1", port, contexts=contexts, evt_handlers=list(handlers))
    opened._reactor_checkpoint = Gate(opened)
    opened.__class__ = Standing
    try:
        yield opened
    finally:
        if opened.is_established:
            opened.release()


def store(peer: Any, uid: str | None, content: bytes, *, message_id: int = 1, raw_uid: str | None = None) -> int | None:
    """The status for one instance, or None when the association is gone.

    `uid=None` names no SOP Instance; `raw_uid` puts a text there that the library would not let pass.
    """
    request = C_STORE()
    request.MessageID = message_id
    request.Priority = 0
    request.AffectedSOPClassUID = CT
    if uid is not None:
        request.AffectedSOPInstanceUID = uid
    if raw_uid is not None:
        request._affected_sop_instance_uid = UID(raw_uid)
    request.DataSet = BytesIO(content)
    peer._reactor_checkpoint.clear()
    peer.dimse.send_msg(request, 1)
    _context, response = peer.dimse.get_msg(block=True)
    peer._reactor_checkpoint.set()
    if response is None:
        peer.abort()
        return None
    return int(response.Status)
