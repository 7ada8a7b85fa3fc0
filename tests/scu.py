"""A sender for tests that can also do what no good modality does."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any

from pydicom.uid import UID
from pynetdicom import AE
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.presentation import build_context

from tests.edge_samples import CT, EXPLICIT


@contextmanager
def association(port: int, *, calling: str = "SCANNER", seconds: float = 10.0) -> Iterator[Any]:
    """An established association that offers CT Image Storage in Explicit VR Little Endian and Verification."""
    ae = AE(ae_title=calling)
    ae.dimse_timeout = ae.network_timeout = ae.acse_timeout = seconds
    contexts = [build_context(CT, EXPLICIT), build_context("1.2.840.10008.1.1", EXPLICIT)]
    opened = ae.associate("127.0.0.1", port, contexts=contexts)
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
    while not peer._is_paused and peer.is_alive():
        time.sleep(0.0001)
    peer.dimse.send_msg(request, 1)
    _context, response = peer.dimse.get_msg(block=True)
    peer._reactor_checkpoint.set()
    if response is None:
        peer.abort()
        return None
    return int(response.Status)
