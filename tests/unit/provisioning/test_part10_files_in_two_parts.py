"""Taking Part 10 files apart, against pydicom as the oracle."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file

from provisioning.local.dataset import NotPart10, read_part10, split_part10


def path_of(name: str) -> Path:
    found = get_testdata_file(name)
    assert isinstance(found, str)
    return Path(found)


@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small_bigendian.dcm", "image_dfl.dcm", "693_J2KI.dcm"])
def test_the_three_uids_of_the_file_meta_are_those_that_pydicom_reads(name: str) -> None:
    part = read_part10(path_of(name))
    meta = dcmread(path_of(name), stop_before_pixels=True).file_meta
    assert part.sop_class_uid == meta.MediaStorageSOPClassUID
    assert part.sop_instance_uid == meta.MediaStorageSOPInstanceUID
    assert part.transfer_syntax_uid == meta.TransferSyntaxUID


def test_the_data_set_is_every_byte_behind_the_file_meta_group() -> None:
    raw = path_of("CT_small.dcm").read_bytes()
    part = split_part10(raw)
    group_length = int.from_bytes(raw[140:144], "little")  # value of (0002,0000)
    assert part.data_set == raw[144 + group_length :]


def test_a_file_without_group_length_is_read_all_the_same() -> None:
    part = read_part10(path_of("no_meta_group_length.dcm"))
    assert part.data_set[:2] not in (b"\x02\x00", b"")


def test_bytes_that_are_no_part_10_file_are_refused() -> None:
    with pytest.raises(NotPart10):
        split_part10(b"\0" * 200)


def test_a_file_cut_off_inside_its_meta_group_is_refused() -> None:
    with pytest.raises(NotPart10):
        split_part10(path_of("CT_small.dcm").read_bytes()[:160])
