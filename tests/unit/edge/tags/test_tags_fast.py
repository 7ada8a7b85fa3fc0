"""The fast way through a header and the walker give the same answer to everything, and the fast way is fast."""

from __future__ import annotations

import io
import os
import statistics
import struct
import time
import tracemalloc
import warnings
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from edge.model import TagSet
from edge.tags import fast, read_file_tags, read_tags
from edge.tags.nested import end_of_undefined
from edge.tags.plans import MOST_PLANS, Plans
from edge.tags.scan import Walker
from edge.tags.source import PlainSource, Unreadable
from edge.vocabulary import ATTRIBUTES
from tests.conftest import Figures
from tests.dicom_corpus import corpus_files, split_part10
from tests.tag_reading import read_both_ways
from tests.unit.edge.tags.test_tags_properties import data_sets, encoded
from tests.unit.edge.tags.test_tags_reading import EXPLICIT, IDENTITY, IMPLICIT, LONG, UNDEFINED, data_set, element

PRIVATE = {0x00090010: (b"LO", b"ACME")} | {0x00091000 + n: (b"LO", b"value %d " % n) for n in range(10, 40)}
ITEM, ITEM_END, END = (element(tag, b"", b"") for tag in (0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD))


def cut_to_fit(tag: int, vr: bytes, data: bytes, syntax: str, length: int | None) -> bytes:
    short = syntax == EXPLICIT and vr not in LONG and length is not None
    return element(tag, vr, data, syntax=syntax, length=length & 0xFFFF if short and length else length)


raw_elements = st.builds(
    cut_to_fit,
    st.one_of(
        st.sampled_from([attribute.tag for attribute in ATTRIBUTES.values()]),
        st.sampled_from(
            [0x00081140, 0x00090010, 0x00091001, 0x00291010, 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD, 0x7FE00010]
        ),
    ),
    st.sampled_from(
        [b"LO", b"PN", b"CS", b"UI", b"IS", b"DS", b"US", b"LT", b"UN", b"SQ", b"OB", b"FD", b"XX", b"\0\0"]
    ),
    st.one_of(
        st.binary(max_size=40),
        st.text("0123456789.-+ \0\\eE", max_size=20).map(str.encode),
        st.sampled_from(
            [b"ISO_IR 100", b"ISO_IR 192", b"\\ISO 2022 IR 87", b"NONE", b"M\xfcller^Jos\xe9", b"\x1b$B;3"]
        ),
    ),
    syntax=st.sampled_from([EXPLICIT, EXPLICIT, EXPLICIT, IMPLICIT]),
    length=st.sampled_from([None, None, None, None, None, None, UNDEFINED, 0, 7, 70_000]),
)


@settings(max_examples=600, deadline=None)
@given(
    elements=st.lists(raw_elements, max_size=30),
    syntax=st.sampled_from([EXPLICIT, IMPLICIT]),
    ordered=st.booleans(),
    beyond=st.integers(-3, 30),
    window=st.sampled_from([8, 40, 100, 8192]),
)
def test_both_ways_agree_on_elements_that_no_sender_would_write(
    elements: list[bytes], syntax: str, *, ordered: bool, beyond: int, window: int
) -> None:
    content = b"".join(sorted(elements, key=lambda one: struct.unpack_from("<HH", one)) if ordered else elements)
    with mock.patch.object(fast, "FIRST_BYTES", window), mock.patch.object(fast, "NEXT_BYTES", 2 * window):
        read_both_ways(content, syntax, length=max(0, len(content) + beyond))


nested_parts = st.lists(
    st.one_of(
        st.sampled_from([ITEM, ITEM_END, END, element(0xFFFEE000, b"", b"", length=UNDEFINED), b"\0\0\0\0"]),
        st.builds(
            element,
            st.sampled_from([0x00081140, 0x00100020, 0x00091001]),
            st.sampled_from([b"SQ", b"UN", b"LO", b"OB", b"XX", b"\0\0"]),
            st.binary(max_size=12),
            syntax=st.sampled_from([EXPLICIT, EXPLICIT, IMPLICIT]),
            length=st.sampled_from([None, None, 0xFFFF, 4]),
        ),
        st.sampled_from([b"SQ", b"UN"]).map(lambda vr: element(0x00081140, vr, b"", length=UNDEFINED)),
        st.just(element(0x00081140, b"", b"", syntax=IMPLICIT, length=UNDEFINED)),
    ),
    max_size=25,
).map(b"".join)


@settings(max_examples=1000, deadline=None)
@given(content=nested_parts, implicit=st.booleans(), vr=st.sampled_from(["SQ", "UN", ""]))
def test_both_ways_agree_where_a_nested_value_ends(content: bytes, implicit: bool, vr: str) -> None:
    def walked() -> int | None:
        stream = io.BytesIO(content)
        try:
            Walker(source=PlainSource(stream), implicit=implicit, big_endian=False).pass_undefined(vr)
        except Unreadable:
            return None
        return stream.tell()

    def in_memory() -> int | None:
        try:
            return end_of_undefined(content, 0, implicit=implicit or vr == "UN")
        except Unreadable:
            return None

    assert in_memory() == walked()


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    dataset=data_sets(),
    syntax=st.sampled_from([EXPLICIT, IMPLICIT]),
    data=st.data(),
    window=st.sampled_from([30, 200, 8192]),
)
def test_both_ways_agree_on_damaged_data_sets(dataset: Dataset, syntax: str, data: st.DataObject, window: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        content = bytearray(encoded(dataset, syntax))
    for _ in range(data.draw(st.integers(0, 4))):
        if content:
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(content)))
    with mock.patch.object(fast, "FIRST_BYTES", window), mock.patch.object(fast, "NEXT_BYTES", 2 * window):
        read_both_ways(bytes(content), syntax)
        read_both_ways(bytes(content[:cut]), syntax)
        read_both_ways(bytes(content[:cut]), syntax, length=len(content))


@settings(max_examples=300, deadline=None)
@given(
    values=st.lists(
        st.tuples(
            st.sampled_from(sorted(ATTRIBUTES)), st.one_of(st.binary(max_size=20), st.text(max_size=9).map(str.encode))
        )
    ),
    syntax=st.sampled_from([EXPLICIT, IMPLICIT]),
)
def test_both_ways_agree_on_any_bytes_as_a_value(values: list[tuple[str, bytes]], syntax: str) -> None:
    elements = {ATTRIBUTES[keyword].tag: (ATTRIBUTES[keyword].vr.encode(), value) for keyword, value in values}
    read_both_ways(data_set(IDENTITY | elements, syntax=syntax), syntax)


@pytest.mark.parametrize("part", ["dev", "fuzz"])
def test_both_ways_agree_on_every_file_of_the_corpus_whatever_is_announced(part: str) -> None:
    for path in corpus_files(part):
        transfer_syntax, content = split_part10(path.read_bytes())
        for uid in {transfer_syntax, EXPLICIT, IMPLICIT}:
            read_both_ways(content, uid)


def test_nearly_every_real_header_goes_the_fast_way() -> None:
    taken = 0
    files = corpus_files("dev")
    for path in files:
        transfer_syntax, content = split_part10(path.read_bytes())
        taken += _scan(content, implicit=transfer_syntax == IMPLICIT) is not None
    assert taken > 0.85 * len(files)


def test_a_header_longer_than_one_read_goes_the_fast_way_wherever_the_border_falls() -> None:
    sequence = element(0x00081140, b"SQ", b"", length=UNDEFINED) + 40 * (ITEM + ITEM_END) + END
    head = data_set({t: v for t, v in IDENTITY.items() if t < 0x00090000})
    rest = data_set(PRIVATE | {t: v for t, v in IDENTITY.items() if t > 0x00090000} | {0x00100020: (b"LO", b"P1")})
    content = head + sequence + rest + element(0x00291010, b"OB", bytes(100_000)) + element(0x00400253, b"SH", b"S1")
    for border in range(8, len(content) - 100_000):
        with mock.patch.object(fast, "FIRST_BYTES", border):
            assert read_both_ways(content, EXPLICIT).values["PerformedProcedureStepID"] == "S1"
            found = _scan(content)
        assert found is not None
        assert (found.values["PatientID"], found.values["PerformedProcedureStepID"]) == ("P1", "S1")


def test_a_row_of_private_elements_that_changes_is_never_taken_for_the_one_before() -> None:
    rest = data_set({0x00100020: (b"LO", b"P1")})
    changed = PRIVATE | {0x00091012: (b"LO", b"another length")}
    hidden = PRIVATE | {0x00091020: (b"LO", data_set({0x00100020: (b"LO", b"HIDDEN")}))}
    fewer = {tag: value for tag, value in PRIVATE.items() if tag != 0x00091030}
    for private in (PRIVATE, changed, PRIVATE, hidden, fewer, PRIVATE, changed):
        got = read_both_ways(data_set(private) + rest, EXPLICIT)
        assert got.values == {"PatientID": "P1"}


def test_an_empty_value_under_a_representation_that_it_cannot_have_is_flagged_by_both_ways() -> None:
    got = read_both_ways(data_set(IDENTITY | {0x00100010: (b"US", b"")}), EXPLICIT)
    assert got.flags == ("undecodable:PatientName",)


def test_plans_are_bounded_whatever_senders_make_up() -> None:
    plans = Plans(implicit=False)
    row = data_set(PRIVATE)
    for number in range(3 * MOST_PLANS):
        plans.learn(element(0x00090000 + number, b"LO", b"") + row, 0)
    assert len(plans.at) <= MOST_PLANS


def test_made_up_heads_cost_little_memory() -> None:
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for start in range(0, 60_000, 2_000):
            content = b"".join(element(0x00090000 + n, b"LO", b"") for n in range(start, start + 2_000))
            read_both_ways(content, EXPLICIT)
        assert tracemalloc.get_traced_memory()[0] - before < 8_000_000
    finally:
        tracemalloc.stop()


def test_the_fast_way_is_at_least_fifteen_times_as_fast_as_pydicom(tmp_path: Path, figures: Figures) -> None:
    files = 3 * [_ct(tmp_path / f"{number}.dcm", number) for number in range(1, 41)]
    vocabulary = [attribute.tag for attribute in ATTRIBUTES.values()]

    def pydicom_reads() -> None:
        for path, _offset, _length in files:
            pydicom.dcmread(path, stop_before_pixels=True, specific_tags=vocabulary)

    def fast_way() -> None:
        for path, offset, length in files:
            _read(path, offset, length)

    def walker() -> None:
        for path, offset, length in files:
            with path.open("rb") as stream:
                stream.seek(offset)
                read_tags(stream, transfer_syntax_uid=EXPLICIT, length=length)

    for path, offset, length in files:
        oracle = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=vocabulary)
        assert _read(path, offset, length).values["SOPInstanceUID"] == oracle.SOPInstanceUID
    ratios, slower, faster = _alternate(pydicom_reads, fast_way, len(files))
    _, walking, _ = _alternate(walker, fast_way, len(files), rounds=5)
    figures(
        f"tags of a CT header: pydicom {slower:.0f} us, walker {walking:.0f} us, fast way {faster:.1f} us with decoded "
        f"values; {statistics.median(ratios):.1f} times as fast as pydicom"
    )
    assert statistics.median(ratios) >= 15


def _scan(content: bytes, *, implicit: bool = False) -> fast.Header | None:
    return fast.scan(lambda start, size: content[start : start + size], len(content), implicit=implicit)


def _read(path: Path, offset: int, length: int) -> TagSet:
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return read_file_tags(file, offset=offset, length=length, transfer_syntax_uid=EXPLICIT)
    finally:
        os.close(file)


def _alternate(
    slow: Callable[[], None], quick: Callable[[], None], units: int, rounds: int = 25
) -> tuple[list[float], float, float]:
    """Ratios of neighbouring rounds, and the medians of both in microseconds; in CPU time, as other work disturbs."""
    pairs = []
    slow()
    quick()
    for _ in range(rounds):
        started = time.thread_time_ns()
        slow()
        between = time.thread_time_ns()
        quick()
        pairs.append((between - started, time.thread_time_ns() - between))
    slower, faster = (statistics.median(times) / units / 1000 for times in zip(*pairs, strict=True))
    return [one / other for one, other in pairs], slower, faster


def _ct(path: Path, number: int) -> tuple[Path, int, int]:
    """A CT of the bench: 512 x 512, 39 private elements; the file, and where its data set lies."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = CTImageStorage
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2.826.0.1.3680043.8.498.1", "1.2.826.0.1.3680043.8.498.2"
    dataset.PatientID, dataset.PatientName, dataset.AccessionNumber = "BENCH-1", "BENCH^ONE", "ACC-1"
    dataset.Modality, dataset.StudyDate, dataset.StudyTime = "CT", "20260101", "101010"
    dataset.StudyDescription, dataset.SeriesDescription = "CT CHEST", "AXIAL"
    dataset.SeriesNumber, dataset.InstanceNumber = 1, number
    dataset.add_new(0x00090010, "LO", "ACME")
    for k in range(1, 40):
        dataset.add_new(0x00091000 + k, "LO", f"private value {k}")
    dataset.Rows, dataset.Columns, dataset.NumberOfFrames = 512, 512, 1
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.PixelData = bytes(512 * 512 * 2)
    dataset.save_as(path, enforce_file_format=True)
    content = path.read_bytes()
    length = len(split_part10(content)[1])
    return path, len(content) - length, length
