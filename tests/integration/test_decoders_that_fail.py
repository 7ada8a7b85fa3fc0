"""Codecs that hang, die or are not there, and objects that were made to hurt them: one delivery waits, nothing else."""

from __future__ import annotations

import itertools
import socket
import struct
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.buffer.store import Buffer
from edge.forward import native as native_module
from edge.forward.base import Accepted, Outcome, Refused, TryLater, Unfit
from edge.forward.decoding.failure import NoRoom
from edge.forward.decoding.work import _see_to_room
from edge.forward.decoding.workers import Worker, Workers, _heard
from edge.forward.rendition import unreadable
from edge.transform.failure import Impossible
from provisioning.local.storescp import StoreScp
from tests.jpeg_samples import PIXELS, Held, read_all, sample, to_peer, with_value
from tests.real_programs import require
from tests.sending import deliveries

ROWS, COLUMNS, INTERPRETATION = 0x00280010, 0x00280011, 0x00280004
UNTOUCHABLE = """
import os
class Version:
    GetVersion = staticmethod(lambda: "3.2.6")
class DataElement: pass
class TransferSyntax:
    GetTSType = staticmethod(lambda uid: 0)
    def __init__(self, kind): pass
def __getattr__(name):
    if not name.startswith("__"):
        os.abort()
    raise AttributeError(name)
"""
"""The library as pydicom looks at it; whoever decodes with it dies."""
NAMES = ["MR_small_jp2klossless.dcm", "MR_small_jpeg_ls_lossless.dcm", "JPEG-LL.dcm", "JPGExtended.dcm"]


@pytest.fixture
def pacs(tmp_path: Path) -> Iterator[StoreScp]:
    require("storescp")
    with StoreScp(tmp_path / "pacs", syntaxes="+x=") as peer:
        yield peer


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file that stands in the way of the codecs' library; as long as it is empty, an object finds nothing in it."""
    folder = tmp_path / "in-the-way"
    folder.mkdir()
    monkeypatch.setenv("PYTHONPATH", str(folder))
    workers = Workers(patience=1.5)
    monkeypatch.setattr(native_module, "WORKERS", workers)
    yield folder / "gdcm.py"
    workers.close()


def _send(buffer: Buffer, pacs: StoreScp, name: str = NAMES[0], *, content: bytes = b"", attempts: int = 1) -> Outcome:
    part = sample(name)
    contents = {part.sop_instance_uid: content or part.data_set}
    wanted = deliveries(
        buffer, contents, attempts=attempts, sop_class=part.sop_class_uid, syntax=part.transfer_syntax_uid
    )
    (outcome,) = to_peer(buffer, pacs.port, wanted).outcomes.values()
    assert bool(pacs.received()) == isinstance(outcome, Accepted)
    return outcome


def test_without_the_codecs_it_waits_and_says_what_to_install(buffer: Buffer, pacs: StoreScp, library: Path) -> None:
    library.write_text("raise ImportError('as if it were not installed')")
    outcome = _send(buffer, pacs)
    assert isinstance(outcome, Refused)
    assert outcome.reason == (
        "`syntax: decompress`: this node has no decoder for JPEG 2000 Image Compression (Lossless Only): "
        "install it with `pip install 'skerry[codecs]'`, then `skerry-edge requeue`"
    )
    assert isinstance(_send(buffer, pacs, "MR_small_RLE.dcm"), Accepted)  # it needs none


def test_a_codec_that_dies_is_tried_twice_and_then_it_is_for_a_person(
    buffer: Buffer, pacs: StoreScp, library: Path, tmp_path: Path
) -> None:
    deaths = tmp_path / "deaths"
    library.write_text(
        f"import os, signal\nopen({str(deaths)!r}, 'a').write('x')\nos.kill(os.getpid(), signal.SIGSEGV)"
    )
    outcome = _send(buffer, pacs)
    assert isinstance(outcome, Refused)
    assert outcome.reason == "`syntax: decompress`: its decoder died of it 2 times"
    assert deaths.read_text() == "xx"
    library.unlink()
    assert isinstance(_send(buffer, pacs), Accepted)


def test_what_is_killed_for_want_of_memory_is_tried_again_for_a_while(
    buffer: Buffer, pacs: StoreScp, library: Path
) -> None:
    library.write_text("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")
    outcome = _send(buffer, pacs)
    assert isinstance(outcome, TryLater)
    assert "perhaps because memory ran out" in outcome.reason
    last = _send(buffer, pacs, attempts=5)
    assert isinstance(last, Refused)
    assert last.reason.endswith("ran out, 5 times")


def test_a_codec_that_hangs_is_ended_and_stops_nobody_meanwhile(
    buffer: Buffer, pacs: StoreScp, library: Path, tmp_path: Path
) -> None:
    pid = tmp_path / "pid"
    library.write_text(f"import os\nopen({str(pid)!r}, 'w').write(str(os.getpid()))\nwhile True: pass")
    beats: list[float] = []
    done = threading.Event()

    def beat() -> None:
        while not done.wait(0.05):
            beats.append(time.monotonic())

    heart = threading.Thread(target=beat)
    heart.start()
    outcome = _send(buffer, pacs)
    done.set()
    heart.join()
    assert isinstance(outcome, Refused)
    assert outcome.reason == "`syntax: decompress`: its decoder needed more than 2 s for one frame and was ended"
    assert not Path(f"/proc/{pid.read_text()}").exists()
    assert max(later - one for one, later in itertools.pairwise(beats)) < 1.0


@pytest.mark.parametrize("name", NAMES)
def test_a_header_that_promises_a_giant_is_quarantined_before_a_codec_sees_it(
    buffer: Buffer, pacs: StoreScp, library: Path, name: str
) -> None:
    library.write_text(UNTOUCHABLE)
    part, most = sample(name), struct.pack("<H", 65535)
    giant = with_value(with_value(part.data_set, ROWS, "US", most), COLUMNS, "US", most)
    outcome = _send(buffer, pacs, name, content=giant)
    assert isinstance(outcome, Unfit)
    assert outcome.reason == "`syntax: decompress`: one frame of it has more than 128 MiB when it is decompressed"


@pytest.mark.parametrize("name", NAMES)
def test_a_frame_of_another_size_than_the_data_set_says_is_quarantined_before_a_codec_sees_it(
    buffer: Buffer, pacs: StoreScp, library: Path, name: str
) -> None:
    library.write_text(UNTOUCHABLE)
    other = with_value(sample(name).data_set, ROWS, "US", struct.pack("<H", 17))
    outcome = _send(buffer, pacs, name, content=other)
    assert isinstance(outcome, Unfit)
    assert "another size than the data set says" in outcome.reason


def test_more_frames_than_a_node_takes_are_quarantined(buffer: Buffer, pacs: StoreScp) -> None:
    name = "emri_small_jpeg_2k_lossless.dcm"
    many = sample(name).data_set.replace(b"\x28\x00\x08\x00IS\x02\x0010", b"\x28\x00\x08\x00IS\x08\x0099999999")
    assert many != sample(name).data_set
    outcome = _send(buffer, pacs, name, content=many)
    assert isinstance(outcome, Unfit)
    assert "more than 2 GiB" in outcome.reason
    few = sample(name).data_set.replace(b"\x28\x00\x08\x00IS\x02\x0010", b"\x28\x00\x08\x00IS\x02\x0012")
    outcome = _send(buffer, pacs, name, content=few)
    assert isinstance(outcome, Unfit)
    more = sample(name).data_set.replace(b"\x28\x00\x08\x00IS\x02\x0010", b"\x28\x00\x08\x00IS\x02\x009 ")
    outcome = _send(buffer, pacs, name, content=more)
    assert isinstance(outcome, Unfit)


@pytest.mark.parametrize("name", [*NAMES, "SC_rgb_jpeg_dcmtk.dcm"])
def test_a_frame_that_was_cut_is_quarantined_and_no_grey_half_arrives(
    buffer: Buffer, pacs: StoreScp, name: str
) -> None:
    whole = sample(name).data_set
    begins = max(whole.find(one) for one in PIXELS) + len(PIXELS[0])
    assert begins > len(PIXELS[0])
    (table,) = struct.unpack_from("<I", whole, begins + 4)
    at = begins + 8 + table
    (length,) = struct.unpack_from("<I", whole, at + 4)
    frame = whole[at + 8 : at + 8 + length]
    half = frame[: len(frame) // 2 - 2] + b"\xff\xd9"
    half += bytes(len(half) % 2)
    cut = whole[: at + 4] + struct.pack("<I", len(half)) + half + whole[at + 8 + length :]
    outcome = _send(buffer, pacs, name, content=cut)
    assert isinstance(outcome, Unfit), outcome
    assert outcome.reason.startswith("`syntax: decompress`: ")


def test_a_damaged_object_says_nothing_of_the_next_one_that_the_same_decoder_gets(tmp_path: Path) -> None:
    broken, sound = sample("SC_rgb_jpeg_dcmtk.dcm"), sample("MR_small_RLE.dcm")
    at = max(broken.data_set.find(one) for one in PIXELS) + 251
    holed = broken.data_set[:at] + bytes(8) + broken.data_set[at + 8 :]
    with pytest.raises(Impossible, match="a frame of it cannot be decoded"):
        native_module.native(Held(holed), broken.transfer_syntax_uid, tmp_path)
    assert read_all(native_module.native(Held(sound.data_set), sound.transfer_syntax_uid, tmp_path))


def test_colours_that_nobody_can_name_are_quarantined(buffer: Buffer, pacs: StoreScp) -> None:
    name = "MR_small_jp2klossless.dcm"
    odd = with_value(sample(name).data_set, INTERPRETATION, "CS", b"MONOCHROME7 ")
    outcome = _send(buffer, pacs, name, content=odd)
    assert isinstance(outcome, Unfit)
    assert "its colours" in outcome.reason


def test_a_decoder_that_had_nothing_to_do_for_too_long_died_of_nothing(tmp_path: Path) -> None:
    workers, part = Workers(), sample("MR_small_RLE.dcm")
    with tempfile.TemporaryFile() as packed, tempfile.TemporaryFile() as plain:
        packed.write(part.data_set)
        packed.flush()
        for _ in range(3):
            resting = Worker()
            resting._line.shutdown(socket.SHUT_WR)  # it goes, and nobody has looked yet
            resting._process.wait(20.0)
            resting.alive = lambda: True  # type: ignore[method-assign]
            workers._idle.append(resting)
        workers.decompress(part.transfer_syntax_uid, packed.fileno(), plain.fileno())
        assert plain.seek(0, 2) > len(part.data_set)
    workers.close()


def test_a_disk_without_room_is_waited_for_and_never_for_a_person(tmp_path: Path) -> None:
    assert unreadable(NoRoom()) == TryLater(reason="`syntax: decompress`: the disk has no room for its decoded form")
    with tempfile.TemporaryFile(dir=tmp_path) as file, pytest.raises(OSError, match="No space left"):
        _see_to_room(file, 1 << 62)
    with pytest.raises(NoRoom):
        _heard(b"o28", "1.2.840.10008.1.2.4.90")


def test_a_decoder_ends_when_whoever_started_it_is_gone() -> None:
    workers = Workers()
    worker = workers._take()
    worker._line.close()
    assert worker._process.wait(20.0) == 0
