"""What each step does to a data set, and what it refuses to do."""

from __future__ import annotations

import pytest
from pydicom.dataset import Dataset

from edge.steps import Step
from edge.transform.elements import Coding
from edge.transform.failure import TransformFailed
from tests.transforming import CODINGS, EXPLICIT, IMPLICIT, assembled, changed, step, transformed, tried, written

UTF8 = step("charset")


def _patient(**values: object) -> Dataset:
    return _item(**{"SOPInstanceUID": "1.2.3", "PatientID": "P1", "PatientName": "Doe^Jane", **values})


def _item(**values: object) -> Dataset:
    item = Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return item


def _private(data_set: Dataset) -> list[int]:
    return [tag for tag in map(int, data_set.keys()) if tag >> 16 & 1]


@pytest.mark.parametrize("coding", CODINGS)
def test_set_replaces_a_value_and_adds_one_at_its_place(coding: Coding) -> None:
    out = changed(
        _patient(),
        step("set", "PatientID", value="NEW"),
        step("set", "InstitutionName", value="St. Elsewhere"),
        step("set", "OtherPatientIDs", value="A\\B"),
        step("set", "PregnancyStatus", value="4"),
        coding=coding,
    )
    assert (out.PatientID, out.InstitutionName, list(out.OtherPatientIDs)) == ("NEW", "St. Elsewhere", ["A", "B"])
    assert out.PregnancyStatus == 4
    assert list(out.keys()) == sorted(out.keys())


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("undefined", [False, True])
def test_remove_and_hash_reach_into_sequences_of_every_form(coding: Coding, *, undefined: bool) -> None:
    inner = _item(ReferencedSOPInstanceUID="1.2.3", PatientID="P1", CodeMeaning="x")
    data_set = _patient(ReferencedImageSequence=[_item(PurposeOfReferenceCodeSequence=[inner], PatientID="P1")])
    data_set["ReferencedImageSequence"].is_undefined_length = undefined
    data_set.ReferencedImageSequence[0].is_undefined_length_sequence_item = undefined
    out = changed(data_set, step("hash", "SOPInstanceUID"), step("remove", "PatientID"), coding=coding)
    deep = out.ReferencedImageSequence[0].PurposeOfReferenceCodeSequence[0]
    assert out.SOPInstanceUID.startswith("2.25.")
    assert deep.ReferencedSOPInstanceUID == out.SOPInstanceUID
    assert deep.CodeMeaning == "x"
    assert not any("PatientID" in one for one in (out, out.ReferencedImageSequence[0], deep))


def test_a_hash_is_the_same_for_the_same_value_in_any_attribute_and_any_character_set() -> None:
    latin = _patient(SpecificCharacterSet="ISO_IR 100", PatientName="Müller^Jörg")
    utf8 = _patient(SpecificCharacterSet="ISO_IR 192", PatientName="Müller^Jörg")
    hashed = [changed(one, step("hash", "PatientName")).PatientName for one in (latin, utf8)]
    assert hashed[0] == hashed[1] != "Müller^Jörg"
    assert len(str(hashed[0])) == 32


def test_a_hash_leaves_the_uids_of_the_standard_and_empty_values_alone() -> None:
    data_set = _patient(ReferencedSOPInstanceUID="1.2.840.10008.1.20.1.1", AccessionNumber="")
    out = changed(data_set, step("hash", "SOPInstanceUID"), step("hash", "AccessionNumber"))
    assert out.ReferencedSOPInstanceUID == "1.2.840.10008.1.20.1.1"
    assert out.AccessionNumber == ""


def test_every_value_of_several_is_hashed_for_itself() -> None:
    out = changed(_patient(OtherPatientIDs=["A", "B", "A"]), step("hash", "OtherPatientIDs"))
    first, second, third = out.OtherPatientIDs
    assert first == third != second


def test_the_new_uids_are_told_and_the_old_ones_are_not() -> None:
    raw = written(_patient(StudyInstanceUID="1.2.9"), EXPLICIT)
    result = transformed(raw, EXPLICIT, [step("hash", "StudyInstanceUID")])
    assert str(result.study_instance_uid).startswith("2.25.")
    assert result.sop_instance_uid is None


def test_copy_takes_a_value_and_leaves_the_target_when_there_is_none() -> None:
    out = changed(_patient(), step("copy", "PatientID", to="AccessionNumber"))
    assert out.AccessionNumber == "P1"
    out = changed(_patient(AccessionNumber="A"), step("copy", "StudyID", to="AccessionNumber"))
    assert out.AccessionNumber == "A"


def test_a_prefix_is_not_put_twice_and_not_before_nothing() -> None:
    prefix = step("prefix", "PatientID", value="B-")
    assert changed(_patient(), prefix, prefix).PatientID == "B-P1"
    assert changed(_patient(PatientID="B-7"), prefix).PatientID == "B-7"
    assert changed(_patient(PatientID=""), prefix).PatientID == ""


def test_a_map_changes_each_value_that_its_table_names() -> None:
    table = (("M", "F"), ("X", ""))
    keep = step("map", "PatientSex", table=table, otherwise="keep")
    assert changed(_patient(PatientSex="M"), keep).PatientSex == "F"
    assert changed(_patient(PatientSex="O"), keep).PatientSex == "O"
    assert "PatientSex" not in changed(_patient(), keep)
    assert "PatientSex" not in changed(
        _patient(PatientSex="O"), step("map", "PatientSex", table=table, otherwise="remove")
    )
    other = step("map", "PatientSex", table=table, otherwise="set", value="O")
    assert changed(_patient(), other).PatientSex == "O"


def test_a_value_that_is_not_in_the_table_fails_without_being_told() -> None:
    with pytest.raises(TransformFailed) as failure:
        changed(_patient(PatientID="SECRET"), UTF8, step("map", "PatientID", table=(("A", "B"),)))
    assert str(failure.value) == "transform `t`, step 2 (`map` of PatientID): PatientID: its value is not in the table"


def test_a_regular_expression_changes_each_value_for_itself() -> None:
    data_set = _patient(OtherPatientIDs=["17-4", "x"])
    out = changed(data_set, step("regex", "OtherPatientIDs", pattern=r"^(\d+)-(\d+)$", value=r"\2/\1"))
    assert list(out.OtherPatientIDs) == ["4/17", "x"]


def test_a_result_that_its_vr_cannot_hold_fails() -> None:
    with pytest.raises(TransformFailed, match="AccessionNumber: its new value is not at most 16 characters"):
        changed(_patient(AccessionNumber="1234567890"), step("prefix", "AccessionNumber", value="LONGSITE-"))
    with pytest.raises(TransformFailed, match="its new value is not"):
        changed(_patient(), step("regex", "PatientID", pattern="P", value=r"a\\b"))


@pytest.mark.parametrize(
    ("terms", "name"),
    [
        ("ISO_IR 100", "Müller^Jörg"),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        (["ISO 2022 IR 13", "ISO 2022 IR 87"], "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう"),
        (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동"),
        ("GB18030", "Wang^XiaoDong=王^小东"),
        ("GBK", "王^小东"),
        ("ISO_IR 144", "Люкceмбypг"),
        ("ISO_IR 192", "Łódź^Ω"),
    ],
)
@pytest.mark.parametrize("coding", CODINGS)
def test_utf_8_keeps_every_text_in_every_level(coding: Coding, terms: object, name: str) -> None:
    data_set = _patient(SpecificCharacterSet=terms, PatientName=name, InstitutionName="plain")
    data_set.ReferencedPatientSequence = [_item(PatientName=name)]
    data_set.RequestAttributesSequence = [
        _item(SpecificCharacterSet="ISO_IR 101", RequestedProcedureDescription="Łódź")
    ]
    out = changed(data_set, UTF8, coding=coding)
    assert out.SpecificCharacterSet == "ISO_IR 192"
    assert (str(out.PatientName), str(out.ReferencedPatientSequence[0].PatientName)) == (name, name)
    other = out.RequestAttributesSequence[0]
    assert (other.SpecificCharacterSet, other.RequestedProcedureDescription) == ("ISO_IR 192", "Łódź")


def test_a_text_that_is_none_in_its_character_set_fails_instead_of_being_guessed() -> None:
    raw = written(_patient(InstitutionName="abcd"), EXPLICIT).replace(b"abcd", b"ab\xff\xfe")
    with pytest.raises(TransformFailed, match=r"`charset`.*InstitutionName: its value is not text"):
        transformed(raw, EXPLICIT, [UTF8])


def test_a_text_that_the_character_set_cannot_write_fails_until_it_is_utf_8() -> None:
    setting = step("set", "InstitutionName", value="Łódź")
    with pytest.raises(TransformFailed, match="put the step `charset: utf-8` before"):
        changed(_patient(SpecificCharacterSet="ISO_IR 100"), setting)
    assert changed(_patient(), UTF8, setting).InstitutionName == "Łódź"


@pytest.mark.parametrize("coding", CODINGS)
def test_private_attributes_go_but_for_the_creators_that_stay(coding: Coding) -> None:
    data_set = _patient()
    for group, creator in ((0x0009, "KEEP ME"), (0x0009, "DROP ME"), (0x0019, "DROP ME")):
        data_set.private_block(group, creator, create=True).add_new(1, "LO", creator)
    data_set.ReferencedImageSequence = [_item(ReferencedSOPInstanceUID="1.2")]
    data_set.ReferencedImageSequence[0].private_block(0x0011, "DROP ME", create=True).add_new(1, "LO", "x")
    out = changed(data_set, Step(kind="remove_private", keep=("KEEP ME",)), coding=coding)
    assert _private(out) == [0x00090010, 0x00091001]
    assert _private(out.ReferencedImageSequence[0]) == []
    assert _private(changed(data_set, Step(kind="remove_private"), coding=coding)) == []


def test_an_attribute_that_stands_there_twice_is_changed_in_neither_place_or_in_both() -> None:
    one = written(_patient(), EXPLICIT)
    raw = one + one[one.index(b"\x10\x00\x20\x00") :]
    out = tried(raw, EXPLICIT, [step("hash", "PatientID")])
    assert isinstance(out, bytes)
    assert b"P1" not in out
    with pytest.raises(TransformFailed, match="PatientID: it stands there more than once"):
        transformed(raw, EXPLICIT, [step("prefix", "PatientID", value="B-")])


def test_a_group_length_tells_the_new_length() -> None:
    data_set = _patient()
    raw = written(data_set, EXPLICIT)
    at = raw.index(b"\x10\x00\x10\x00")
    counted = raw[:at] + b"\x10\x00\x00\x00UL\x04\x00" + (len(raw) - at).to_bytes(4, "little") + raw[at:]
    out = assembled(counted, transformed(counted, EXPLICIT, [step("prefix", "PatientID", value="LONGER-")]).pieces)
    assert int.from_bytes(out[at + 8 : at + 12], "little") == len(out) - at - 12


@pytest.mark.parametrize("keyword", ["PixelData", "Rows", "SOPClassUID", "SpecificCharacterSet", "TransferSyntaxUID"])
def test_what_describes_the_pixels_or_the_object_is_never_changed(keyword: str) -> None:
    with pytest.raises(TransformFailed, match=keyword):
        changed(_patient(), step("remove", keyword))


@pytest.mark.parametrize("keyword", ["SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"])
def test_what_identifies_an_object_is_changed_by_hash_only(keyword: str) -> None:
    for one in (
        step("set", keyword, value="1.2"),
        step("remove", keyword),
        step("copy", "FrameOfReferenceUID", to=keyword),
    ):
        with pytest.raises(TransformFailed, match="`hash` only"):
            changed(_patient(FrameOfReferenceUID="1.2"), one)


@pytest.mark.parametrize("cut", range(1, 60, 3))
def test_a_header_that_is_cut_off_is_refused_or_read_to_its_last_element(cut: int) -> None:
    raw = written(_patient(ReferencedImageSequence=[_item(CodeMeaning="x")]), EXPLICIT)[:-cut]
    out = tried(raw, EXPLICIT, [step("set", "StudyID", value="1")])
    if isinstance(out, bytes):
        assert len(out) == len(raw) + 10
    else:
        assert "cannot be read" in str(out)


def test_a_data_set_in_another_encoding_than_announced_is_refused() -> None:
    with pytest.raises(TransformFailed, match="cannot be read"):
        transformed(written(_patient(), IMPLICIT), EXPLICIT, [UTF8])
