"""With pydicom as the judge: what no step names is unchanged, pixels are identical, and the same gives the same."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate

from edge.steps import Step
from edge.transform.elements import Coding
from tests.transforming import BIG, EXPLICIT, IMPLICIT, assembled, read, step, transformed, tried, written

_LETTERS = st.characters(min_codepoint=0x20, max_codepoint=0xFF, categories=("L", "N"))
_LATIN = st.text(_LETTERS, max_size=14)
_NAMES = st.builds("^".join, st.lists(_LATIN.filter(bool), min_size=1, max_size=4))
_UIDS = st.builds("1.2.{}.{}".format, st.integers(0, 10**9), st.integers(0, 10**9))
_VALUES: dict[str, st.SearchStrategy[object]] = {
    "PatientName": _NAMES,
    "OtherPatientIDs": st.lists(_LATIN.filter(bool), min_size=2, max_size=3),
    "AccessionNumber": st.text(_LETTERS, max_size=13),  # with `B-` and the padding that pydicom counts too, 16
    "StudyDate": st.just("20200229"),
    "ImageType": st.just(["ORIGINAL", "PRIMARY"]),
    "SliceThickness": st.just("1.25"),
    "SeriesNumber": st.integers(0, 999),
    "ImageComments": _LATIN,
    "FrameOfReferenceUID": _UIDS,
    "Rows": st.integers(0, 65535),
    "TriggerTimeOffset": st.floats(allow_nan=False, allow_infinity=False),
    "RedPaletteColorLookupTableData": st.binary(max_size=8).map(lambda data: data + bytes(len(data) % 2)),
}
_STEPS: list[Step] = [
    step("set", "InstitutionName", value="Site B"),
    step("prefix", "AccessionNumber", value="B-"),
    step("hash", "PatientID"),
    step("hash", "SOPInstanceUID"),
    step("hash", "FrameOfReferenceUID"),
    step("remove", "StudyDescription"),
    step("copy", "PatientID", to="AdmissionID"),
    step("map", "Modality", table=(("CT", "MR"),), otherwise="keep"),
    step("charset"),
    Step(kind="remove_private"),
]
_NAMED = {
    *("InstitutionName", "AccessionNumber", "PatientID", "SOPInstanceUID", "ReferencedSOPInstanceUID", "AdmissionID"),
    *("FrameOfReferenceUID", "StudyDescription", "Modality", "SpecificCharacterSet"),
}


@st.composite
def _data_sets(draw: st.DrawFn, *, depth: int = 0) -> Dataset:
    data_set = Dataset()
    for keyword, values in _VALUES.items():
        if draw(st.booleans()):
            setattr(data_set, keyword, draw(values))
            if keyword == "RedPaletteColorLookupTableData":
                data_set[keyword].VR = "OW"
    data_set.ReferencedSOPInstanceUID = draw(_UIDS)
    data_set.StudyDescription = draw(_LATIN)
    if draw(st.booleans()):
        data_set.private_block(0x0009, "SOMEBODY", create=True).add_new(1, "OB", b"\x01\x02")
    if depth < 2:
        data_set.ReferencedImageSequence = draw(st.lists(_data_sets(depth=depth + 1), max_size=2))
        data_set["ReferencedImageSequence"].is_undefined_length = draw(st.booleans())
        for item in data_set.ReferencedImageSequence:
            item.is_undefined_length_sequence_item = draw(st.booleans())
    if not depth:
        data_set.SpecificCharacterSet = "ISO_IR 100"
        data_set.SOPInstanceUID, data_set.PatientID, data_set.Modality = draw(_UIDS), "1", "CT"
        data_set.add(DataElement(0xFFFCFFFC, "OB", b"\0" * 4))
    return data_set


def _with_pixels(data_set: Dataset, pixels: bytes, *, encapsulated: bool) -> Dataset:
    content = encapsulate([pixels]) if encapsulated else pixels
    data_set.add(DataElement(0x7FE00010, "OB" if encapsulated else "OW", content, is_undefined_length=encapsulated))
    return data_set


_FAMILIES = st.sampled_from([(IMPLICIT, False), (EXPLICIT, False), (BIG, False), (EXPLICIT, True)])


def _same(before: Dataset, after: Dataset, *, private_goes: bool) -> None:
    for element in before:
        keyword = element.keyword
        if keyword in _NAMED or (element.tag.is_private and private_goes):
            continue
        assert element.tag in after, keyword
        other = after[element.tag]
        if element.VR == "SQ":
            assert len(other.value) == len(element.value)
            for one, two in zip(element.value, other.value, strict=True):
                _same(one, two, private_goes=private_goes)
        else:
            assert (element.VR, element.value) == (other.VR, other.value), keyword
    extra = {element.keyword for element in after if element.tag not in before}
    assert extra <= {"InstitutionName", "AdmissionID", "SpecificCharacterSet"}


@settings(max_examples=150, deadline=None)
@given(
    data_set=_data_sets(),
    pixels=st.binary(min_size=2, max_size=400).map(lambda data: data + bytes(len(data) % 2)),
    family=_FAMILIES,
    chosen=st.sets(st.integers(0, len(_STEPS) - 1), min_size=1),
)
def test_what_no_step_names_is_unchanged_and_the_pixels_are_identical(
    data_set: Dataset, pixels: bytes, family: tuple[Coding, bool], chosen: set[int]
) -> None:
    coding, encapsulated = family
    raw = written(_with_pixels(data_set, pixels, encapsulated=encapsulated), coding)
    steps = [_STEPS[n] for n in sorted(chosen)]
    first, second = transformed(raw, coding, steps), transformed(raw, coding, steps)
    out = assembled(raw, first.pieces)
    assert out == assembled(raw, second.pieces)
    before, after = read(raw, coding), read(out, coding)
    assert after.PixelData == before.PixelData
    _same(before, after, private_goes=any(one.kind == "remove_private" for one in steps))
    assert isinstance(first.pieces[-1], tuple), "pixels and what stands behind them pass as a range of the original"


@settings(max_examples=100, deadline=None)
@given(data_set=_data_sets(), family=_FAMILIES)
def test_bytes_that_no_step_changes_leave_as_they_came(data_set: Dataset, family: tuple[Coding, bool]) -> None:
    coding, _encapsulated = family
    raw = written(data_set, coding)
    result = transformed(raw, coding, [step("remove", "PatientComments"), step("prefix", "StudyID", value="B-")])
    assert list(result.pieces) == [(0, len(raw))]


@settings(max_examples=60, deadline=None)
@given(name=_NAMES, coding=st.sampled_from([IMPLICIT, EXPLICIT, BIG]))
def test_utf_8_changes_no_name(name: str, coding: Coding) -> None:
    data_set = Dataset()
    data_set.SpecificCharacterSet, data_set.PatientName = "ISO_IR 100", name
    raw = written(data_set, coding)
    out = read(assembled(raw, transformed(raw, coding, [step("charset")]).pieces), coding)
    assert str(out.PatientName) == str(read(raw, coding).PatientName)


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=300), coding=st.sampled_from([IMPLICIT, EXPLICIT, BIG]))
def test_garbage_is_refused_or_passes_but_breaks_nothing(data: bytes, coding: Coding) -> None:
    out = tried(data, coding, _STEPS)
    assert isinstance(out, bytes) or str(out).startswith("transform `t`")
