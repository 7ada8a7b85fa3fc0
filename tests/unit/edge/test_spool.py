"""The spool: sealed files, hostile names, full disks."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest
from pydicom import dcmread

from edge.buffer.spool import Spool, new_instance_id
from edge.errors import SealBroken, SpoolError, SpoolFileMissing, SpoolFull
from tests.edge_samples import FACTS, data_set, meta


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool")


def test_a_sealed_file_is_a_part_10_file_that_says_who_sent_it(spool: Spool) -> None:
    reception = spool.begin(meta("1.2.3.4"))
    reception.write(data_set("1.2.3.4"))
    sealed = reception.seal()
    read = dcmread(spool.path(sealed.instance_id))
    assert read.SOPInstanceUID == "1.2.3.4"
    assert read.file_meta.SendingApplicationEntityTitle == "SCANNER"
    assert read.file_meta.ReceivingApplicationEntityTitle == "SKERRY"


def test_what_comes_out_is_what_went_in_whatever_the_pieces(spool: Spool) -> None:
    content = os.urandom(300_000)
    reception = spool.begin(meta())
    for start in range(0, len(content), 7_001):
        reception.write(content[start : start + 7_001])
    sealed = reception.seal()
    with spool.open_data_set(sealed) as stream:
        assert stream.read() == content
    spool.verify(sealed)


def test_a_sealed_file_is_adopted_with_everything_that_it_knew(spool: Spool) -> None:
    reception = spool.begin(meta())
    reception.write(b"anything")
    sealed = reception.seal()
    assert spool.adopt(sealed.instance_id) == sealed
    assert sealed.facts == FACTS


def test_an_unsealed_file_was_never_acknowledged_and_goes(spool: Spool) -> None:
    left = new_instance_id()
    spool.path(left).write_bytes(b"\0" * 128 + b"DICM" + b"half an ob")
    assert spool.adopt(left) is None
    assert list(spool.instance_ids()) == []


@pytest.mark.parametrize("damage", ["cut", "flipped", "grown"])
def test_a_sealed_file_with_other_content_is_set_aside_and_never_deleted(spool: Spool, damage: str) -> None:
    reception = spool.begin(meta())
    reception.write(b"x" * 5000)
    sealed = reception.seal()
    path = spool.path(sealed.instance_id)
    content = bytearray(path.read_bytes())
    if damage == "flipped":
        content[-1] ^= 1
    path.write_bytes(content[:-10] if damage == "cut" else content + b"y" if damage == "grown" else content)
    with pytest.raises(SealBroken):
        spool.verify(sealed)
    with pytest.raises(SealBroken):
        spool.adopt(sealed.instance_id)
    assert spool.damaged_count() == 1


@pytest.mark.parametrize("at", [0, 7, 9, 20, 43])
def test_one_flipped_bit_in_a_seal_sets_the_file_aside_and_deletes_nothing(spool: Spool, at: int) -> None:
    reception = spool.begin(meta())
    reception.write(b"x" * 100)
    sealed = reception.seal()
    path = spool.path(sealed.instance_id)
    content = bytearray(path.read_bytes())
    content[at] ^= 4
    path.write_bytes(content)
    with pytest.raises(SealBroken):
        spool.adopt(sealed.instance_id)
    assert spool.damaged_count() == 1


def test_what_is_not_ours_is_left_alone_and_named(spool: Spool, tmp_path: Path) -> None:
    folder = tmp_path / "spool" / "00"
    (folder / "copy of image.dcm").write_bytes(b"x")
    (folder / f"{'1' * 32}.dcm").write_bytes(b"in the wrong folder")
    (folder / f"{'0' * 32}.dcm").mkdir()
    (folder / f"{'2' * 30}00.dcm").symlink_to(tmp_path / "nowhere")
    assert list(spool.instance_ids()) == []
    assert len(spool.strangers()) == 4


def test_a_seal_is_on_the_disk_before_its_name_is_and_both_before_custody(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    real_pwrite, real_fdatasync, real_fsync = os.pwrite, os.fdatasync, os.fsync

    def pwrite(descriptor: int, content: bytes, offset: int) -> int:
        steps.append("seal written")
        return real_pwrite(descriptor, content, offset)

    def fdatasync(descriptor: int) -> None:
        real_fdatasync(descriptor)
        steps.append("file synced")

    def fsync(descriptor: int) -> None:
        real_fsync(descriptor)
        steps.append("directory synced" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "another file synced")

    monkeypatch.setattr(os, "pwrite", pwrite)
    monkeypatch.setattr(os, "fdatasync", fdatasync)
    monkeypatch.setattr(os, "fsync", fsync)
    reception = spool.begin(meta())
    reception.write(b"x")
    reception.seal()
    assert steps == ["seal written", "file synced", "directory synced"]


@pytest.mark.parametrize("name", ["../../etc/passwd", "", "1.2.3", "0" * 31, "0" * 33, "g" * 32, "/" + "0" * 31])
def test_no_name_from_outside_becomes_a_path(spool: Spool, name: str) -> None:
    with pytest.raises(SpoolError):
        spool.path(name)


def test_a_full_disk_is_named_and_leaves_nothing_behind(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "no space")

    reception = spool.begin(meta())
    reception.write(b"x" * 1000)
    monkeypatch.setattr(os, "fdatasync", full)
    with pytest.raises(SpoolFull):
        reception.seal()
    assert list(spool.instance_ids()) == []


def test_a_released_instance_is_gone_and_releasing_it_again_is_harmless(spool: Spool) -> None:
    reception = spool.begin(meta())
    sealed = reception.seal()
    spool.release(sealed.instance_id)
    spool.release(sealed.instance_id)
    with pytest.raises(SpoolFileMissing):
        spool.verify(sealed)


def test_our_ids_sort_by_time_and_do_not_repeat() -> None:
    ids = [new_instance_id() for _ in range(2000)]
    assert len(set(ids)) == 2000
    assert [one[:12] for one in ids] == sorted(one[:12] for one in ids)
    assert all(one[12] == "7" for one in ids)
