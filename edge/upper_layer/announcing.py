"""The library's events of MPPS and storage commitment as plain values, for who knows nothing of the library."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom import evt
from pynetdicom.dimse_primitives import N_EVENT_REPORT
from pynetdicom.dsutils import encode

from edge.upper_layer.negotiation import COMMITMENT
from edge.upper_layer.services import Handlers

COMMITMENT_INSTANCE = "1.2.840.10008.1.20.1.1"
"""The only instance of that class, which every request and every report is about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """A request with a data set, as it came."""

    context_id: int
    sop_instance_uid: str
    """Empty when it names none."""
    action: int
    """The Action Type ID of an N-ACTION; 0 of anything else."""
    data_set: bytes
    transfer_syntax_uid: str


@dataclass(frozen=True, slots=True)
class Made:
    """The answer to an N-CREATE: its status, and the UID that the SCP gave when the request named none."""

    status: int
    sop_instance_uid: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of a request for storage commitment (PS3.4 section J.3.3)."""

    transaction_uid: str
    committed: Mapping[str, str]
    """SOP classes by SOP instance."""
    failed: Mapping[str, tuple[str, int]]
    """SOP classes and reasons by SOP instance."""

    @property
    def event_type(self) -> int:
        """1: all are committed; 2: there are failures."""
        return 2 if self.failed else 1

    def data_set(self) -> Dataset:
        """The event information (PS3.4 Table J.3-2)."""
        information = Dataset()
        information.TransactionUID = self.transaction_uid
        if self.committed:
            information.ReferencedSOPSequence = [_reference(uid, named) for uid, named in self.committed.items()]
        if self.failed:
            information.FailedSOPSequence = [_reference(uid, *why) for uid, why in self.failed.items()]
        return information


def procedure_steps(create: Callable[[Announcement], Made], change: Callable[[Announcement], int]) -> Handlers:
    """N-CREATE and N-SET of performed procedure steps."""

    def created(event: Any) -> tuple[int, Dataset | None]:
        request = event.request
        made = create(_read(event, request.AffectedSOPInstanceUID, request.AttributeList))
        if not made.sop_instance_uid:
            return made.status, None
        given = Dataset()
        given.AffectedSOPInstanceUID = made.sop_instance_uid
        return made.status, given

    def changed(event: Any) -> tuple[int, None]:
        request = event.request
        return change(_read(event, request.RequestedSOPInstanceUID, request.ModificationList)), None

    return ((evt.EVT_N_CREATE, created), (evt.EVT_N_SET, changed))


def commitments(ask: Callable[[Announcement], int]) -> Handlers:
    """N-ACTION of storage commitment."""

    def asked(event: Any) -> tuple[int, None]:
        request = event.request
        action = int(request.ActionTypeID or 0)
        return ask(_read(event, request.RequestedSOPInstanceUID, request.ActionInformation, action)), None

    return ((evt.EVT_N_ACTION, asked),)


def event_report(verdict: Verdict, *, message_id: int, transfer_syntax_uid: str) -> N_EVENT_REPORT:
    """The N-EVENT-REPORT-RQ that tells of it (PS3.7 section 10.1.1).

    Raises:
        ValueError: it cannot be written in this syntax.
    """
    syntax = UID(transfer_syntax_uid)
    content = encode(verdict.data_set(), syntax.is_implicit_VR, syntax.is_little_endian)
    if content is None:
        raise ValueError("the event information cannot be encoded")
    request = N_EVENT_REPORT()
    request.MessageID = message_id
    request.AffectedSOPClassUID = UID(COMMITMENT)
    request.AffectedSOPInstanceUID = UID(COMMITMENT_INSTANCE)
    request.EventTypeID = verdict.event_type
    request.EventInformation = BytesIO(content)
    return request


def _reference(uid: str, sop_class: str, reason: int | None = None) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, uid
    if reason is not None:
        item.FailureReason = reason
    return item


def _read(event: Any, uid: object, data_set: BytesIO | None, action: int = 0) -> Announcement:
    return Announcement(
        context_id=int(event.context.context_id),
        sop_instance_uid=str(uid or ""),
        action=action,
        data_set=b"" if data_set is None else data_set.getvalue(),
        transfer_syntax_uid=str(event.context.transfer_syntax),
    )
