"""The spool: sealed files, hostile names, full disks, locks between those who read and those who wipe."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.buffer.intake import Intake
from edge.buffer.reception import Reception
from edge.buffer.slots import SIZES, next_generation, size_for
from edge.buffer.spool import Settled, Spool, Verdict
from edge.errors import SealBroken, SpoolError, SpoolFileMissing, SpoolFull
from edge.model import SealedInstance
from tests.edge_samples import FACTS, meta
from tests.edge_spool import add_slots, intake_on, wait_ready

KINDS = ("new file", "used slot")


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool")


@pytest.fixture(params=KINDS)
def intake(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Intake]:
    used = request.param == "used slot"
    if used:
        for size in SIZES[:6]:
            add_slots(tmp_path, 3, size)
    with intake_on(tmp_path, ready=3 if used else 0) as opened:
        if used:
            wait_ready(opened, 3, SIZES[5])
        yield opened


def sealed_with(intake: Intake, content: bytes, uid: str = "1.2.3.4") -> SealedInstance:
    return intake.begin(meta(uid)).seal((content,))


def settle(spool: Spool, sealed: SealedInstance, *, above: int = 0, owned: bool = False) -> Settled:
    return spool.settle(sealed.instance_id[:16], above=above, owned=owned, keep_size=SIZES[0])


@pytest.mark.parametrize("piece", [1, 7_001, 100_000, 400_000])
def test_what_comes_out_is_what_went_in_whatever_the_pieces(intake: Intake, spool: Spool, piece: int) -> None:
    content = os.urandom(300_000 if piece > 1 else 900)
    reception = intake.begin(meta())
    for start in range(0, len(content), piece * 3):
        group = [content[at : at + piece] for at in range(start, min(start + piece * 3, len(content)), piece)]
        reception.write(group)
    sealed = reception.seal()
    with spool.open_data_set(sealed) as stream:
        assert stream.read() == content
    spool.verify(sealed)


def test_the_last_pieces_come_with_the_seal(intake: Intake, spool: Spool) -> None:
    content = os.urandom(50_000)
    reception = intake.begin(meta(), expected_bytes=40_000)
    reception.write([content[:20_000]])
    view = memoryview(content)
    sealed = reception.seal([view[20_000:20_001], view[20_001:]])
    with spool.open_data_set(sealed) as stream:
        assert stream.read() == content


def test_an_object_in_thousands_of_pieces_goes_with_one_seal(intake: Intake, spool: Spool) -> None:
    content = os.urandom(6_000)
    sealed = intake.begin(meta()).seal([content[at : at + 2] for at in range(0, 6_000, 2)])
    with spool.open_data_set(sealed) as stream:
        assert stream.read() == content


def test_an_object_without_bytes_is_an_object(intake: Intake, spool: Spool) -> None:
    sealed = intake.begin(meta()).seal()
    spool.verify(sealed)
    assert settle(spool, sealed).sealed == sealed


def test_the_fingerprint_is_known_before_the_seal(intake: Intake) -> None:
    reception = intake.begin(meta())
    reception.write([b"one"])
    assert reception.length == 3
    before = reception.fingerprint([b"two", b"three"])
    sealed = reception.seal([b"two", b"three"])
    assert before == (sealed.data_set_length, sealed.checksum) == (11, sealed.checksum)


def test_an_object_larger_than_its_slot_extends_it(tmp_path: Path, spool: Spool) -> None:
    add_slots(tmp_path, 3)
    content = os.urandom(200_000)
    with intake_on(tmp_path, ready=3) as intake:
        reception = intake.begin(meta(), expected_bytes=1_000)
        for start in range(0, 200_000, 10_000):
            reception.write([content[start : start + 10_000]])
        sealed = reception.seal()
    with spool.open_data_set(sealed) as stream:
        assert stream.read() == content
    size = spool.empty(sealed.instance_id, keep=True)
    assert size == size_for(200_000)
    assert spool.path(sealed.instance_id).stat().st_size == size


def test_a_sealed_file_is_adopted_with_everything_that_it_knew(intake: Intake, spool: Spool) -> None:
    sealed = sealed_with(intake, b"anything")
    assert settle(spool, sealed) == Settled(Verdict.ADOPTED, sealed)
    assert sealed.facts == FACTS


def test_an_old_seal_is_never_adopted_and_its_bytes_go(intake: Intake, spool: Spool) -> None:
    sealed = sealed_with(intake, b"anything")
    above = int(sealed.instance_id[16:], 16)
    assert settle(spool, sealed, above=above, owned=True).verdict is Verdict.LEFT
    assert settle(spool, sealed, above=above).verdict is Verdict.EMPTY
    assert not any(spool.path(sealed.instance_id).read_bytes())


def test_what_is_being_received_is_left_alone_by_who_looks(intake: Intake, spool: Spool, tmp_path: Path) -> None:
    reception = intake.begin(meta())
    reception.write([b"half an object"])
    (slot,) = (path.stem for path in (tmp_path / "spool").glob("*/*.dcm") if any(path.read_bytes()))
    assert spool.settle(slot, above=0, owned=False, keep_size=SIZES[0]).verdict is Verdict.LEFT
    sealed = reception.seal([b" and its end"])
    with spool.open_data_set(sealed) as stream:
        assert stream.read() == b"half an object and its end"


def test_what_was_given_up_leaves_no_byte_behind(intake: Intake, tmp_path: Path) -> None:
    reception = intake.begin(meta("1.2.3.999"))
    reception.write([os.urandom(20_000), os.urandom(20_000)])
    reception.discard()
    assert not any(any(path.read_bytes()) for path in (tmp_path / "spool").glob("*/*.dcm"))


def test_a_slot_that_was_given_up_is_used_next(tmp_path: Path, spool: Spool) -> None:
    (slot,) = add_slots(tmp_path, 1)
    with intake_on(tmp_path, ready=1) as intake:
        for _ in range(3):
            reception = intake.begin(meta())
            reception.write([b"x" * 1000])
            reception.discard()
        sealed = sealed_with(intake, b"at last")
        assert sealed.instance_id.startswith(slot)
        spool.verify(sealed)


@pytest.mark.parametrize("damage", ["cut", "flipped"])
def test_a_sealed_file_with_other_content_is_set_aside_and_never_deleted(
    intake: Intake, spool: Spool, damage: str
) -> None:
    sealed = sealed_with(intake, b"x" * 5000)
    path, last = spool.path(sealed.instance_id), sealed.data_set_offset + 4999
    content = bytearray(path.read_bytes())
    content[last] ^= 1
    path.write_bytes(content[: last - 10] if damage == "cut" else content)
    with pytest.raises(SealBroken):
        spool.verify(sealed)
    assert settle(spool, sealed).verdict is Verdict.DAMAGED
    assert spool.damaged_count() == 1
    with pytest.raises(SpoolFileMissing):
        spool.verify(sealed)


@pytest.mark.parametrize("at", [0, 7, 9, 20, 59])
def test_one_flipped_bit_in_a_seal_sets_the_file_aside_and_deletes_nothing(
    intake: Intake, spool: Spool, at: int
) -> None:
    sealed = sealed_with(intake, b"x" * 100)
    path = spool.path(sealed.instance_id)
    content = bytearray(path.read_bytes())
    content[at] ^= 4
    path.write_bytes(content)
    assert settle(spool, sealed).verdict is Verdict.DAMAGED
    assert spool.damaged_count() == 1


def test_a_file_under_another_files_name_is_not_taken_for_it(intake: Intake, spool: Spool) -> None:
    one, other = sealed_with(intake, b"one"), sealed_with(intake, b"other")
    spool.path(other.instance_id).write_bytes(spool.path(one.instance_id).read_bytes())
    assert settle(spool, other).verdict is Verdict.DAMAGED


@pytest.mark.parametrize("whole", [130, 4_096, 8_192, 20_000])
def test_a_write_that_was_cut_off_was_never_acknowledged_and_goes(tmp_path: Path, spool: Spool, whole: int) -> None:
    (slot,) = add_slots(tmp_path, 1)
    with intake_on(tmp_path, ready=1) as intake:
        sealed = sealed_with(intake, os.urandom(20_000))
    path = spool.path(sealed.instance_id)
    content = path.read_bytes()
    path.write_bytes(content[:whole] + bytes(len(content) - whole))
    assert spool.settle(slot, above=0, owned=False, keep_size=SIZES[0]).verdict is Verdict.UNFINISHED
    assert spool.damaged_count() == 0
    assert not any(path.read_bytes())


def test_a_slot_that_holds_a_seal_is_not_written_into_whatever_the_index_says(tmp_path: Path, spool: Spool) -> None:
    slots = add_slots(tmp_path, 4)
    with intake_on(tmp_path, ready=4) as intake:
        sealed = sealed_with(intake, b"not known to the index")
    with intake_on(tmp_path, ready=3) as intake:
        later = [sealed_with(intake, b"later") for _ in range(6)]
    assert {one.instance_id[:16] for one in later} & set(slots) == set(slots) - {sealed.instance_id[:16]}
    spool.verify(sealed)


def test_two_processes_never_hold_the_same_slot(tmp_path: Path, spool: Spool) -> None:
    add_slots(tmp_path, 12)
    with intake_on(tmp_path, ready=6) as one, intake_on(tmp_path) as two:
        taken = [sealed_with(intake, os.urandom(100)) for _ in range(12) for intake in (one, two)]
    assert len({sealed.instance_id[:16] for sealed in taken}) == 24
    for sealed in taken:
        spool.verify(sealed)


def test_what_is_not_ours_is_left_alone_and_named(intake: Intake, spool: Spool, tmp_path: Path) -> None:
    shelf = tmp_path / "spool" / spool.shelves()[0]
    (shelf / "copy of image.dcm").write_bytes(b"x")
    (shelf / f"{'1' * 16}.dcm").write_bytes(b"on the wrong shelf")
    (shelf / f"{shelf.name}{'0' * 7}f.dcm").mkdir()
    (shelf / f"{shelf.name}{'0' * 7}e.dcm").symlink_to(tmp_path / "nowhere")
    (tmp_path / "spool" / "af").mkdir()
    assert list(spool.instance_ids()) == []
    assert len(spool.strangers()) == 5


def test_a_new_files_seal_and_name_are_on_the_disk_before_custody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = _spied(monkeypatch)
    with intake_on(tmp_path) as intake:
        steps.clear()
        sealed_with(intake, b"x")
        assert steps == ["written", "seal written", "file synced", "directory synced"]


def test_a_used_slot_is_written_and_synced_by_one_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_slots(tmp_path, 3)
    with intake_on(tmp_path, ready=3) as intake:
        steps = _spied(monkeypatch)
        sealed_with(intake, b"x" * 10_000)
        assert steps == ["all written and synced"]


def test_what_came_in_pieces_is_on_the_disk_before_its_seal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_slots(tmp_path, 3)
    with intake_on(tmp_path, ready=3) as intake:
        steps = _spied(monkeypatch)
        reception = intake.begin(meta())
        reception.write([b"x" * 1000])
        reception.seal([b"y" * 1000])
        assert steps == ["written", "written", "written", "file synced", "seal written and synced"]


def _spied(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    steps: list[str] = []
    real_pwritev, real_fdatasync, real_fsync = os.pwritev, os.fdatasync, os.fsync

    def pwritev(descriptor: int, pieces: list[bytes], offset: int, flags: int = 0) -> int:
        written = real_pwritev(descriptor, pieces, offset, flags)
        is_seal = offset == 0 and any(pieces[0][:8])
        what = "all written" if is_seal and len(pieces) > 1 else "seal written" if is_seal else "written"
        steps.append(what + (" and synced" if flags & os.RWF_DSYNC else ""))
        return written

    def fdatasync(descriptor: int) -> None:
        real_fdatasync(descriptor)
        steps.append("file synced")

    def fsync(descriptor: int) -> None:
        real_fsync(descriptor)
        steps.append("directory synced" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "another file synced")

    monkeypatch.setattr(os, "pwritev", pwritev)
    monkeypatch.setattr(os, "fdatasync", fdatasync)
    monkeypatch.setattr(os, "fsync", fsync)
    return steps


@pytest.mark.parametrize("name", ["../../etc/passwd", "", "1.2.3", "0" * 31, "0" * 33, "g" * 32, "/" + "0" * 31])
def test_no_name_from_outside_becomes_a_path(spool: Spool, name: str) -> None:
    with pytest.raises(SpoolError):
        spool.path(name)


@pytest.mark.parametrize("streamed", [False, True])
def test_a_full_disk_is_named_and_leaves_nothing_behind(
    intake: Intake, spool: Spool, monkeypatch: pytest.MonkeyPatch, *, streamed: bool
) -> None:
    real = os.pwritev
    failing = True

    def full(descriptor: int, pieces: list[bytes], offset: int, flags: int = 0) -> int:
        if failing and (flags or any(pieces[0][:8])) and len(pieces[0]) == 128:
            raise OSError(errno.ENOSPC, "no space")
        return real(descriptor, pieces, offset, flags)

    monkeypatch.setattr(os, "pwritev", full)
    reception = intake.begin(meta())
    if streamed:
        reception.write([b"x" * 1000])
    with pytest.raises(SpoolFull):
        reception.seal([b"y" * 1000])
    assert list(spool.instance_ids()) == []
    failing = False
    spool.verify(sealed_with(intake, b"there is room again"))


def test_a_write_that_the_kernel_cuts_short_is_carried_on(
    intake: Intake, spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.pwritev

    def short(descriptor: int, pieces: list[bytes], offset: int, flags: int = 0) -> int:
        return real(descriptor, [b"".join(pieces)[:1_500]], offset, flags)

    monkeypatch.setattr(os, "pwritev", short)
    content = os.urandom(9_000)
    sealed = sealed_with(intake, content)
    with spool.open_data_set(sealed) as stream:
        assert stream.read() == content


def test_a_released_instance_is_gone_and_releasing_it_again_is_harmless(intake: Intake, spool: Spool) -> None:
    sealed = sealed_with(intake, b"x" * 1000)
    assert spool.empty(sealed.instance_id, keep=True) == SIZES[0]
    assert spool.empty(sealed.instance_id, keep=True) == SIZES[0]
    with pytest.raises(SpoolFileMissing):
        spool.verify(sealed)
    assert spool.empty(sealed.instance_id, keep=False) == 0
    assert spool.empty(sealed.instance_id, keep=False) == 0
    assert not spool.path(sealed.instance_id).exists()


def test_a_slot_is_not_wiped_while_somebody_reads_it(intake: Intake, spool: Spool) -> None:
    content = os.urandom(10_000)
    sealed = sealed_with(intake, content)
    with spool.open_data_set(sealed) as stream:
        begin = stream.read(10)
        assert spool.empty(sealed.instance_id, keep=True) is None
        assert spool.empty(sealed.instance_id, keep=False) is None
        assert begin + stream.read() == content
    assert spool.empty(sealed.instance_id, keep=True) is not None


def test_a_slot_with_another_instance_in_it_is_not_emptied(intake: Intake, spool: Spool) -> None:
    sealed = sealed_with(intake, b"the newer one")
    older = f"{sealed.instance_id[:16]}{1:016x}"
    assert spool.empty(older, keep=True) == 0
    spool.verify(sealed)


def test_a_reader_sees_the_data_set_and_nothing_behind_it(intake: Intake, spool: Spool) -> None:
    content = os.urandom(3_000)
    sealed = sealed_with(intake, content)
    with spool.open_data_set(sealed) as stream:
        assert stream.seek(0, os.SEEK_END) == 3_000
        assert stream.read(10) == b""
        stream.seek(1_000)
        assert stream.read(100_000) == content[1_000:]
        stream.seek(-5, os.SEEK_CUR)
        assert stream.tell() == 2_995


def test_two_instances_are_compared_by_their_bytes(intake: Intake, spool: Spool) -> None:
    content = os.urandom(3_000)
    one, same, other = (sealed_with(intake, body) for body in (content, content, content[::-1]))
    assert spool.same_bytes(one, same)
    assert not spool.same_bytes(one, other)


def test_generations_grow_whatever_the_clock_says() -> None:
    ahead = 2**62
    assert next_generation(ahead) == ahead + 1
    assert next_generation(0) < next_generation(next_generation(0)) < 2**63


def test_a_reception_that_took_nothing_can_be_given_up(intake: Intake) -> None:
    reception: Reception = intake.begin(meta())
    reception.discard()
    reception.discard()
