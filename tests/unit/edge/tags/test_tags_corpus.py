"""Every real file reads as pydicom reads it, and no malformed one can stop the reader."""

from __future__ import annotations

import io
import time
import tracemalloc
import warnings
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest
from pydicom.data import get_charset_files
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag
from pydicom.uid import UID

from edge.model import TagSet, TagValue
from edge.tags import read_tags
from edge.vocabulary import ATTRIBUTES
from tests.dicom_corpus import corpus_files, split_part10
from tests.tag_reading import read_both_ways


@pytest.fixture(autouse=True)
def _pydicom_may_warn() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def expected_value(dataset: Dataset, keyword: str) -> TagValue | None:
    """What pydicom makes of an attribute, in the form of a TagSet."""
    value = dataset.get(keyword)
    if value is None or str(value) == "":
        return None
    parts = tuple(str(v).strip().rstrip("=") for v in (value if isinstance(value, MultiValue | list) else [value]))
    kind = ATTRIBUTES[keyword].kind
    if kind == "texts":
        return parts if any(parts) else None
    if kind == "integer":
        return int(value)
    if kind == "decimal":
        return float(value)
    return "\\".join(parts) or None


def comparable(value: TagValue | None) -> TagValue | None:
    if isinstance(value, str):
        return value.strip().rstrip("=") or None
    return tuple(v.rstrip("=") for v in value) if isinstance(value, tuple) else value


def at_pixels(tag: BaseTag, _vr: str | None, _length: int) -> bool:
    return int(tag) >= 0x7FE00000


def read(path: Path) -> TagSet:
    transfer_syntax, data_set = split_part10(path.read_bytes())
    return read_both_ways(data_set, transfer_syntax)


def test_every_real_file_reads_exactly_as_pydicom_reads_it() -> None:
    compared = 0
    for path in corpus_files("dev"):
        tags = read(path)
        oracle = pydicom.dcmread(path, force=True, stop_before_pixels=True)
        for keyword in ATTRIBUTES:
            wanted = expected_value(oracle, keyword)
            assert comparable(tags.values.get(keyword)) == wanted, (path.name, keyword, tags.flags)
            compared += wanted is not None
    assert compared > 10_000


def test_no_malformed_file_raises_or_takes_long_whatever_transfer_syntax_is_announced() -> None:
    announced = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99", "")
    for path in corpus_files("fuzz"):
        content = path.read_bytes()
        transfer_syntax, data_set = split_part10(content)
        for uid in {transfer_syntax, *announced}:
            started = time.monotonic()
            tags = read_tags(io.BytesIO(data_set), transfer_syntax_uid=uid)
            assert time.monotonic() - started < 2, path.name
            assert set(tags.values) <= set(ATTRIBUTES)


def test_no_value_of_a_malformed_file_contradicts_pydicom() -> None:
    compared = 0
    for path in corpus_files("fuzz"):
        transfer_syntax, data_set = split_part10(path.read_bytes())
        uid = UID(transfer_syntax)
        if not uid.is_transfer_syntax or uid.is_deflated:
            continue
        try:
            oracle = read_dataset(io.BytesIO(data_set), uid.is_implicit_VR, uid.is_little_endian, stop_when=at_pixels)
            wanted = {keyword: expected_value(oracle, keyword) for keyword in ATTRIBUTES}
        except Exception:  # noqa: S112, BLE001, RUF100  pydicom gives up on some of them
            continue
        for keyword, value in read(path).values.items():
            assert wanted[keyword] in (None, comparable(value)), (path.name, keyword)
            compared += 1
    assert compared > 5_000


def test_no_malformed_file_costs_more_memory_than_a_few_values() -> None:
    files = corpus_files("fuzz")
    tracemalloc.start()
    try:
        for path in files:
            transfer_syntax, data_set = split_part10(path.read_bytes())
            stream = io.BytesIO(data_set)
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            read_tags(stream, transfer_syntax_uid=transfer_syntax)
            assert tracemalloc.get_traced_memory()[1] - before < 1_000_000, path.name
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", [Path(p).name for p in get_charset_files("*.dcm")])
def test_the_character_set_examples_read_as_pydicom_reads_them(name: str) -> None:
    path = Path(get_charset_files(name)[0])
    tags = read(path)
    oracle = pydicom.dcmread(path)
    for keyword in ATTRIBUTES:
        assert comparable(tags.values.get(keyword)) == expected_value(oracle, keyword), (keyword, tags.flags)
