"""For any data set that pydicom can write, the reader agrees with pydicom; for any bytes at all, it answers."""

from __future__ import annotations

import io
import warnings

import pydicom
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence
from pydicom.uid import UID

from edge.vocabulary import ATTRIBUTES
from tests.tag_reading import read_both_ways
from tests.unit.edge.tags.test_tags_corpus import comparable, expected_value

SYNTAXES = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2")
ALPHABETS = {
    "ISO_IR 100": "abcXYZ 0189-éüñß",
    "ISO_IR 144": "abcXYZ 0189-ЖЩяю",
    "ISO_IR 192": "abcXYZ 0189-é王山😀ЖΩ",
    "GB18030": "abcXYZ 0189-王小东",
}


def value_of(keyword: str, alphabet: str) -> st.SearchStrategy[object]:
    attribute = ATTRIBUTES[keyword]
    if attribute.vr == "US":
        return st.integers(0, 65535)
    if attribute.kind == "integer":
        return st.integers(-(2**31), 2**31 - 1)
    if attribute.kind == "decimal":
        return st.integers(-(10**6), 10**6).map(lambda n: str(n / 1000))
    if attribute.vr == "UI":
        return st.lists(st.integers(0, 10**6), min_size=1, max_size=8).map(lambda n: ".".join(map(str, n)))
    if attribute.vr == "DA":
        return st.dates().map(lambda d: f"{d:%Y%m%d}".zfill(8))
    if attribute.vr in {"TM", "DT", "AS"}:
        return st.just({"TM": "121314", "DT": "20240102030405", "AS": "034Y"}[attribute.vr])
    letters = "ABC 09_" if attribute.vr in {"CS", "AE"} else alphabet
    text = st.text(letters, min_size=1, max_size=12)
    return st.lists(text, min_size=1, max_size=3) if attribute.kind == "texts" else text


@st.composite
def data_sets(draw: st.DrawFn) -> Dataset:
    character_set = draw(st.sampled_from(sorted(ALPHABETS)))
    dataset = Dataset()
    dataset.SpecificCharacterSet = character_set
    keywords = draw(st.sets(st.sampled_from(sorted(ATTRIBUTES.keys() - {"SpecificCharacterSet"})), max_size=20))
    for keyword in sorted(keywords):
        setattr(dataset, keyword, draw(value_of(keyword, ALPHABETS[character_set])))
    if draw(st.booleans()):
        item = Dataset()
        item.PatientID = "inner"
        item.ReferencedImageSequence = Sequence([Dataset()])
        dataset.ReferencedStudySequence = Sequence([item])
        for sequence in (dataset["ReferencedStudySequence"], item["ReferencedImageSequence"]):
            sequence.is_undefined_length = draw(st.booleans())
        item.is_undefined_length_sequence_item = draw(st.booleans())
    return dataset


def encoded(dataset: Dataset, syntax: str) -> bytes:
    buffer = DicomBytesIO()
    uid = UID(syntax)
    buffer.is_little_endian, buffer.is_implicit_VR = uid.is_little_endian, uid.is_implicit_VR
    write_dataset(buffer, dataset, parent_encoding="ascii")
    return bytes(buffer.getvalue())


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(dataset=data_sets(), syntax=st.sampled_from(SYNTAXES))
def test_any_data_set_reads_as_pydicom_reads_it(dataset: Dataset, syntax: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        content = encoded(dataset, syntax)
        uid = UID(syntax)
        oracle = pydicom.filereader.read_dataset(io.BytesIO(content), uid.is_implicit_VR, uid.is_little_endian)
        tags = read_both_ways(content, syntax)
        for keyword in ATTRIBUTES:
            got = tags.values.get(keyword)
            assert comparable(got) == expected_value(oracle, keyword), (keyword, tags.flags)
    assert not [flag for flag in tags.flags if flag.startswith(("undecodable", "unreadable", "wrong"))]


@settings(max_examples=500, deadline=2000)
@given(content=st.binary(max_size=2000), syntax=st.sampled_from((*SYNTAXES, "1.2.840.10008.1.2.1.99", "", "x")))
def test_any_bytes_give_an_answer(content: bytes, syntax: str) -> None:
    tags = read_both_ways(content, syntax)
    assert set(tags.values) <= set(ATTRIBUTES)


@settings(max_examples=300, deadline=2000, suppress_health_check=[HealthCheck.too_slow])
@given(dataset=data_sets(), syntax=st.sampled_from(SYNTAXES), data=st.data())
def test_a_data_set_with_damaged_bytes_gives_an_answer(dataset: Dataset, syntax: str, data: st.DataObject) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        content = bytearray(encoded(dataset, syntax))
    for _ in range(data.draw(st.integers(1, 5))):
        if content:
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    read_both_ways(bytes(content), syntax)
