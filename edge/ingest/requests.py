"""What a C-STORE-RQ asks for, or why it cannot be served (pure; PS3.7 section 9.3.1.1)."""

from __future__ import annotations

import re
from typing import NamedTuple

from edge.ingest import statuses
from edge.upper_layer import command

UID_LIMIT = 64
_UID = re.compile(r"[0-9.]{1,64}")  # lenient on purpose: components with leading zeros are common and harmless


class StoreRequest(NamedTuple):
    """A C-STORE-RQ that can be answered."""

    message_id: int
    raw_sop_class_uid: bytes
    raw_sop_instance_uid: bytes
    """As they came: an answer repeats them. Empty where they could not be UIDs."""
    sop_class_uid: str
    sop_instance_uid: str
    has_data_set: bool

    def is_odd(self) -> bool:
        """Whether its SOP Instance UID breaks the rules of PS3.5 section 9.1; it is taken all the same."""
        return not _UID.fullmatch(self.sop_instance_uid)


class Fault(NamedTuple):
    """Why a C-STORE-RQ cannot be served."""

    reason: str
    status: int
    words: str


def read_store_request(elements: dict[int, bytes]) -> StoreRequest | None:
    """The request of these elements; None when it has no Message ID, so that no answer to it can be made."""
    message_id = command.number(elements, command.MESSAGE_ID)
    if message_id is None:
        return None
    sop_class, sop_instance = elements.get(command.SOP_CLASS, b""), elements.get(command.SOP_INSTANCE, b"")
    return StoreRequest(
        message_id,
        sop_class if len(sop_class) <= UID_LIMIT else b"",
        sop_instance if len(sop_instance) <= UID_LIMIT else b"",
        command.uid(elements, command.SOP_CLASS),
        command.uid(elements, command.SOP_INSTANCE),
        command.number(elements, command.DATA_SET_TYPE) != command.NO_DATA_SET,
    )


def fault_of(request: StoreRequest) -> Fault | None:
    """Why this request cannot be served; None when it can."""
    if not request.sop_instance_uid:
        words = "The C-STORE request names no SOP Instance UID."
        return Fault("no-sop-instance-uid", statuses.INVALID_SOP_INSTANCE, words)
    if len(request.sop_instance_uid) > UID_LIMIT:
        words = "The C-STORE request names a SOP Instance UID of more than 64 characters (PS3.5 section 9.1)."
        return Fault("long-sop-instance-uid", statuses.INVALID_SOP_INSTANCE, words)
    if not request.sop_class_uid or len(request.sop_class_uid) > UID_LIMIT:
        words = "The C-STORE request names no SOP Class UID that could be one."
        return Fault("no-sop-class-uid", statuses.SOP_CLASS_NOT_SUPPORTED, words)
    if not request.has_data_set:
        words = "The C-STORE request says that no data set follows it."
        return Fault("no-data-set", statuses.CANNOT_UNDERSTAND, words)
    return None
