"""What a modality says of the images that it made, out of the data set of its message (pure).

Only UIDs and one status are looked at. The names, dates and doses beside them are never read, kept or written down.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from io import BytesIO

from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.uid import UID

from edge.buffer.expectations import Series, StepNews
from edge.ingest import statuses

MOST_NAMED = 20_000
"""UIDs in one message; the largest examinations have some thousands."""
MOST_BYTES = 4 << 20
_MOST_ITEMS = MOST_NAMED + MOST_NAMED // 2
READING = threading.Lock()
"""Held by who reads a message: as objects it has many times the bytes, and one at a time is enough."""
_ITEM = (b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00")
_UID = re.compile(r"[0-9.]{1,64}", re.ASCII)
_IMAGES = ("ReferencedImageSequence", "ReferencedNonImageCompositeSOPInstanceSequence")
_STATES = {"IN PROGRESS": False, "COMPLETED": True, "DISCONTINUED": True}


class Unfit(Exception):
    """This message cannot be used."""

    def __init__(self, reason: str, status: int, words: str) -> None:
        """`reason` is counted, `words` say whose fault it is; neither holds a value of the message."""
        super().__init__(reason)
        self.reason, self.status, self.words = reason, status, words


def read(content: bytes, transfer_syntax_uid: str) -> Dataset:
    """The data set of a message.

    Raises:
        Unfit: it is too large to be one, or cannot be read.
    """
    if len(content) > MOST_BYTES or sum(map(content.count, _ITEM)) > _MOST_ITEMS:
        raise _too_many()
    syntax = UID(transfer_syntax_uid)
    try:
        return read_dataset(BytesIO(content), syntax.is_implicit_VR, syntax.is_little_endian)
    except Exception as error:
        raise Unfit("unreadable", statuses.PROCESSING_FAILURE, "Its data set cannot be read.") from error


def step_news(uid: str, data_set: Dataset, *, begins: bool) -> StepNews:
    """What a message says of a performed procedure step (PS3.4 Table F.7.2-1). `begins`: it is an N-CREATE.

    Raises:
        Unfit: it says what cannot be.
    """
    try:
        return _step_news(uid, data_set, begins)
    except Unfit:
        raise
    except Exception as error:  # pydicom raises whatever a broken element makes it raise
        raise Unfit("unreadable", statuses.PROCESSING_FAILURE, "Its data set cannot be read.") from error


def commitment_asked(data_set: Dataset) -> tuple[str, dict[str, str]]:
    """The transaction, and the SOP classes by SOP instance, of a request for commitment (PS3.4 Table J.3-1).

    Raises:
        Unfit: it asks for nothing that could be kept.
    """
    try:
        transaction, named = _uid_in(data_set, "TransactionUID"), _references(data_set)
    except Unfit:
        raise
    except Exception as error:
        raise Unfit("unreadable", statuses.PROCESSING_FAILURE, "Its data set cannot be read.") from error
    if not named:
        raise Unfit("names-nothing", statuses.INVALID_ARGUMENT_VALUE, "It names no instance.")
    return transaction, named


def checked_uid(value: str) -> str:
    """A UID as the standard lets it be, or with the zeros that some senders put in front.

    Raises:
        Unfit: it is none.
    """
    if not _UID.fullmatch(value):
        raise Unfit("bad-uid", statuses.INVALID_ATTRIBUTE_VALUE, "It names an instance by what is no UID.")
    return value


def _step_news(uid: str, data_set: Dataset, begins: bool) -> StepNews:
    state = text(data_set, "PerformedProcedureStepStatus")
    if state not in _STATES and (state or begins):
        words = "Its Performed Procedure Step Status is none of IN PROGRESS, COMPLETED and DISCONTINUED."
        raise Unfit("bad-status", statuses.INVALID_ATTRIBUTE_VALUE, words)
    if begins and _STATES[state]:
        words = "It begins with a status other than IN PROGRESS (PS3.4 section F.7.2.1.2)."
        raise Unfit("bad-status", statuses.INVALID_ATTRIBUTE_VALUE, words)
    return StepNews(
        uid=checked_uid(uid),
        finished=_STATES.get(state, False),
        study=_study(data_set),
        series=_series(data_set),
    )


def _study(data_set: Dataset) -> str | None:
    if "ScheduledStepAttributesSequence" not in data_set:
        return None
    named = {_uid_in(one, "StudyInstanceUID") for one in items(data_set, "ScheduledStepAttributesSequence")}
    return next(iter(named)) if len(named) == 1 else ""


def _series(data_set: Dataset) -> tuple[Series, ...] | None:
    if "PerformedSeriesSequence" not in data_set:
        return None
    found: dict[str, dict[str, None]] = {}
    named = 0
    for one in items(data_set, "PerformedSeriesSequence"):
        instances = found.setdefault(_uid_in(one, "SeriesInstanceUID"), {})
        for keyword in _IMAGES:
            for reference in items(one, keyword):
                named += 1
                if named > MOST_NAMED:
                    raise _too_many()
                instances[_uid_in(reference, "ReferencedSOPInstanceUID")] = None
    return tuple(Series(uid=uid, instances=tuple(instances)) for uid, instances in found.items())


def _references(data_set: Dataset) -> dict[str, str]:
    named: dict[str, str] = {}
    for reference in items(data_set, "ReferencedSOPSequence"):
        if len(named) >= MOST_NAMED:
            raise _too_many()
        named[_uid_in(reference, "ReferencedSOPInstanceUID")] = _uid_in(reference, "ReferencedSOPClassUID")
    return named


def items(data_set: Dataset, keyword: str) -> Iterator[Dataset]:
    """The items of a sequence; none when it is absent."""
    element = data_set.get_item(keyword)
    if element is None or not element.value:
        return
    if element.VR not in (None, "SQ", "UN"):
        raise ValueError("no sequence")
    yield from data_set[keyword].value


def text(data_set: Dataset, keyword: str) -> str:
    """A value as it came. pydicom's own way to it writes what is wrong, with the value, to the process's log."""
    element = data_set.get_item(keyword)
    value = b"" if element is None else element.value or b""
    return (value.decode("ascii", "replace") if isinstance(value, bytes) else str(value)).strip(" \0")


def _uid_in(data_set: Dataset, keyword: str) -> str:
    return checked_uid(text(data_set, keyword))


def _too_many() -> Unfit:
    words = f"It names more than {MOST_NAMED} instances, or is larger than such a message can be."
    return Unfit("too-many", statuses.RESOURCE_LIMITATION, words)
