"""Messages of modalities: what is read of them, and what is refused before it costs anything."""

from __future__ import annotations

import time

import psutil
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom.dsutils import encode

from edge.buffer.expectations import Series, StepNews
from edge.ingest.announced import MOST_NAMED, Unfit, commitment_asked, read, step_news
from tests.mpps import asked, begun, encoded, ended, reference

SYNTAX = str(ExplicitVRLittleEndian)
ITEM = b"\xfe\xff\x00\xe0"


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian])
def test_a_step_is_read_in_every_syntax_that_is_offered(syntax: str) -> None:
    from pydicom.uid import UID

    made = ended({"1.2.9.1": ["1.1", "1.2"]}, "DISCONTINUED")
    made.PerformedSeriesSequence[0].ReferencedNonImageCompositeSOPInstanceSequence = [reference("1.3")]
    content = encode(made, UID(syntax).is_implicit_VR, UID(syntax).is_little_endian)
    assert content is not None
    news = step_news("9.1", read(content, syntax), begins=False)
    assert news == StepNews(uid="9.1", finished=True, series=(Series(uid="1.2.9.1", instances=("1.1", "1.2", "1.3")),))


def test_a_step_for_several_studies_is_of_none_in_particular() -> None:
    two = begun()
    other = Dataset()
    other.StudyInstanceUID = "5.5"
    two.ScheduledStepAttributesSequence.append(other)
    assert step_news("9.1", two, begins=True).study == ""
    assert step_news("9.1", begun(), begins=True).study == "1.2.3"
    assert step_news("9.1", ended({}), begins=False).study is None


@pytest.mark.parametrize("state", ["COMPLETED", "DISCONTINUED", ""])
def test_a_step_begins_in_progress(state: str) -> None:
    with pytest.raises(Unfit, match="bad-status"):
        step_news("9.1", begun(state=state), begins=True)


def test_a_sequence_that_is_none_is_unreadable() -> None:
    said = Dataset()
    said.add_new(0x00400340, "LO", "no sequence")
    with pytest.raises(Unfit, match="unreadable"):
        step_news("9.1", read(encoded(said), SYNTAX), begins=False)


def test_a_request_that_names_the_same_twice_asks_once() -> None:
    assert commitment_asked(read(encoded(asked("1.9", "1.1", "1.1")), SYNTAX))[1].keys() == {"1.1"}


@pytest.mark.parametrize(
    "content",
    [
        b"\x40\x00\x40\x03SQ\0\0\xff\xff\xff\xff" + (ITEM + b"\0\0\0\0") * (2 * MOST_NAMED),
        bytes(5 << 20),
    ],
    ids=["items", "bytes"],
)
def test_what_is_too_much_is_refused_before_it_is_read(content: bytes) -> None:
    began, before = time.process_time(), psutil.Process().memory_info().rss
    with pytest.raises(Unfit, match="too-many"):
        read(content, SYNTAX)
    assert time.process_time() - began < 0.5
    assert psutil.Process().memory_info().rss - before < 16 << 20


def test_sequences_in_sequences_end_as_unreadable() -> None:
    content = (b"\x40\x00\x40\x03SQ\0\0\xff\xff\xff\xff" + ITEM + b"\xff\xff\xff\xff") * 20_000
    with pytest.raises(Unfit, match="unreadable"):
        step_news("9.1", read(content, SYNTAX), begins=False)
