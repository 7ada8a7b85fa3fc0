"""A modality that reports its steps and asks for commitment: pynetdicom's, with data sets as scanners make them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE, evt

from tests.edge_samples import CT, EXPLICIT
from tests.scu import association

STEP = "1.2.840.10008.3.1.2.3.3"
COMMITMENT = "1.2.840.10008.1.20.1"
WELL_KNOWN = "1.2.840.10008.1.20.1.1"
PATIENT = "ORTEGA^LUCIA"
"""In every data set, and nowhere else: no log may show it."""


@contextmanager
def modality(port: int, *, calling: str = "SCANNER", handlers: Sequence[Any] = ()) -> Iterator[Any]:
    """An association that can store, report steps and ask for commitment."""
    offered = (CT, STEP, COMMITMENT)
    with association(port, calling=calling, seconds=20, offered=offered, handlers=handlers) as opened:
        assert opened.is_established
        yield opened


class Listening:
    """Hears reports of storage commitment: on the association that asked, or at an address of its own."""

    def __init__(self) -> None:
        self._heard: dict[str, Dataset] = {}
        self._types: dict[str, int] = {}
        self.handlers = [(evt.EVT_N_EVENT_REPORT, self._hear)]

    def report(self, transaction: str, *, seconds: float = 10) -> tuple[int, list[str], dict[str, int]]:
        """Its event type, what is committed, and what failed with why."""
        until = time.monotonic() + seconds
        while transaction not in self._types:
            assert time.monotonic() < until, "no report came"
            time.sleep(0.02)
        said = self._heard[transaction]
        committed = [str(one.ReferencedSOPInstanceUID) for one in said.get("ReferencedSOPSequence", ())]
        failed = {
            str(one.ReferencedSOPInstanceUID): int(one.FailureReason) for one in said.get("FailedSOPSequence", ())
        }
        return self._types[transaction], committed, failed

    @contextmanager
    def at(self, ae_title: str) -> Iterator[int]:
        """Listen at a port of our own."""
        entity = AE(ae_title=ae_title)
        entity.add_supported_context(COMMITMENT, EXPLICIT, scu_role=True, scp_role=True)
        server: Any = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=list(self.handlers))
        try:
            yield int(server.server_address[1])
        finally:
            server.shutdown()

    def _hear(self, event: Any) -> tuple[int, None]:
        said = event.event_information
        self._heard[str(said.TransactionUID)] = said
        self._types[str(said.TransactionUID)] = int(event.event_type)
        return 0x0000, None


def begun(study: str = "1.2.3", state: str = "IN PROGRESS") -> Dataset:
    """What an N-CREATE carries."""
    scheduled = Dataset()
    scheduled.StudyInstanceUID, scheduled.AccessionNumber = study, "A77"
    data_set = Dataset()
    data_set.ScheduledStepAttributesSequence = [scheduled]
    data_set.PatientName, data_set.PatientID = PATIENT, "P1"
    data_set.PerformedProcedureStepStatus = state
    data_set.PerformedSeriesSequence = []
    return data_set


def ended(series: Mapping[str, Sequence[str]], state: str = "COMPLETED") -> Dataset:
    """What an N-SET carries: instances by series."""
    data_set = Dataset()
    data_set.PerformedProcedureStepStatus = state
    data_set.PatientName = PATIENT
    data_set.PerformedSeriesSequence = [_series(uid, instances) for uid, instances in series.items()]
    return data_set


def _series(uid: str, instances: Sequence[str]) -> Dataset:
    series = Dataset()
    series.SeriesInstanceUID, series.PerformingPhysicianName = uid, "MENDE^A"
    series.ReferencedImageSequence = [reference(one) for one in instances]
    return series


def reference(uid: str, sop_class: str = CT) -> Dataset:
    """One item of a Referenced SOP Sequence."""
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, uid
    return item


def asked(transaction: str, *uids: str) -> Dataset:
    """What an N-ACTION for storage commitment carries."""
    data_set = Dataset()
    data_set.TransactionUID = transaction
    data_set.ReferencedSOPSequence = [reference(uid) for uid in uids]
    return data_set


def encoded(data_set: Dataset) -> bytes:
    """Its bytes in Explicit VR Little Endian."""
    from pynetdicom.dsutils import encode

    syntax = ExplicitVRLittleEndian
    content = encode(data_set, syntax.is_implicit_VR, syntax.is_little_endian)
    assert content is not None
    return content
