"""A peer that takes no compressed images: what goes there decompressed, and what still waits for a person."""

from __future__ import annotations

import subprocess
import zlib
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset

from edge.buffer.store import Buffer
from edge.forward.base import Accepted, Refused, Unfit
from edge.forward.cstore import CStoreForwarder
from edge.model import ClaimedDelivery, DicomDestination
from edge.policy.document import check_policy, load_policy
from edge.steps import Step, Transform
from provisioning.local.dataset import Part10, read_part10
from provisioning.local.program import find_program
from provisioning.local.storescp import StoreScp
from tests.edge_samples import data_set
from tests.real_programs import require
from tests.sending import Sent, deliver, deliveries

EXPLICIT, RLE, DEFLATED = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.1.99"
HTJ2K = "1.2.840.10008.1.2.4.201"
ONLY_EXPLICIT = "+x="
"""As storescp is told: it prefers, and with this takes, what is not compressed."""


def _sample(name: str) -> Part10:
    path = get_testdata_file(name, download=False)
    assert isinstance(path, str)
    return read_part10(Path(path))


def _delivery(buffer: Buffer, part: Part10) -> list[ClaimedDelivery]:
    contents = {part.sop_instance_uid: part.data_set}
    return deliveries(buffer, contents, sop_class=part.sop_class_uid, syntax=part.transfer_syntax_uid)


def _send(
    buffer: Buffer,
    port: int,
    wanted: list[ClaimedDelivery],
    *,
    decompress: bool = True,
    transforms: tuple[Transform, ...] = (),
) -> Sent:
    peer = DicomDestination(
        name="d", host="127.0.0.1", port=port, ae_title="PACS", decompress=decompress, transforms=transforms
    )
    forwarder = CStoreForwarder(peer, buffer.spool, idle_seconds=10.0)
    try:
        return deliver(forwarder, wanted)
    finally:
        forwarder.close()


def _by_pixel(data_set: Dataset) -> list[bytes]:
    """The frames, colours beside each other."""
    samples, frames = int(data_set.SamplesPerPixel), int(data_set.get("NumberOfFrames", 1))
    width = int(data_set.BitsAllocated) // 8
    size = int(data_set.Rows) * int(data_set.Columns) * samples * width
    found = [data_set.PixelData[n * size : (n + 1) * size] for n in range(frames)]
    if samples == 1 or not data_set.PlanarConfiguration:
        return found
    plane = size // samples
    return [
        b"".join(one[s * plane + at : s * plane + at + width] for at in range(0, plane, width) for s in range(samples))
        for one in found
    ]


@pytest.mark.parametrize("name", ["MR_small_RLE.dcm", "SC_rgb_rle.dcm", "SC_rgb_rle_2frame.dcm", "emri_small_RLE.dcm"])
def test_pixels_are_those_that_dcmtk_decodes_and_all_else_stays(buffer: Buffer, tmp_path: Path, name: str) -> None:
    require("storescp")
    part = _sample(name)
    expected = tmp_path / "expected.dcm"
    program = find_program("dcmdrle", package="dcmtk")
    subprocess.run([program, str(get_testdata_file(name, download=False)), str(expected)], check=True, timeout=60)
    with StoreScp(tmp_path / "pacs", syntaxes=ONLY_EXPLICIT) as pacs:
        assert _send(buffer, pacs.port, _delivery(buffer, part)).kinds() == {part.sop_instance_uid: Accepted}
        (path,) = (tmp_path / "pacs").iterdir()
        got, wanted, original = dcmread(path), dcmread(expected), dcmread(str(get_testdata_file(name, download=False)))
    assert got.file_meta.TransferSyntaxUID == EXPLICIT
    assert _by_pixel(got) == _by_pixel(wanted)
    for one in (got, original):
        for keyword in ("PixelData", "PlanarConfiguration"):
            if keyword in one:
                del one[keyword]
    assert got == original


def test_a_deflated_data_set_goes_inflated(buffer: Buffer, tmp_path: Path) -> None:
    require("storescp")
    plain = data_set("1.2.1")
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    packed = packer.compress(plain) + packer.flush()
    with StoreScp(tmp_path / "pacs", syntaxes=ONLY_EXPLICIT) as pacs:
        sent = _send(buffer, pacs.port, deliveries(buffer, {"1.2.1": packed}, syntax=DEFLATED))
        assert sent.kinds() == {"1.2.1": Accepted}
        assert pacs.received()["1.2.1"].data_set == plain


def test_what_goes_in_another_form_says_so(buffer: Buffer, tmp_path: Path) -> None:
    require("storescp")
    part = _sample("MR_small_RLE.dcm")
    with StoreScp(tmp_path / "pacs", syntaxes=ONLY_EXPLICIT) as pacs:
        (outcome,) = _send(buffer, pacs.port, _delivery(buffer, part)).outcomes.values()
    assert outcome == Accepted(note="as Explicit VR Little Endian, because it does not accept RLE Lossless")


def test_a_peer_that_takes_it_as_it_is_gets_it_as_it_is(buffer: Buffer, tmp_path: Path) -> None:
    require("storescp")
    part = _sample("MR_small_RLE.dcm")
    with StoreScp(tmp_path / "pacs") as pacs:
        sent = _send(buffer, pacs.port, _delivery(buffer, part))
        assert sent.outcomes == {part.sop_instance_uid: Accepted()}
        got = pacs.received()[part.sop_instance_uid]
    assert (got.transfer_syntax_uid, got.data_set) == (RLE, part.data_set)


def test_what_is_changed_for_the_destination_is_changed_in_what_was_decompressed(
    buffer: Buffer, tmp_path: Path
) -> None:
    require("storescp")
    part = _sample("MR_small_RLE.dcm")
    step = Step(kind="set", tag=0x00100020, value="OTHER")
    with StoreScp(tmp_path / "pacs", syntaxes=ONLY_EXPLICIT) as pacs:
        transforms = (Transform(name="other", steps=(step,)),)
        sent = _send(buffer, pacs.port, _delivery(buffer, part), transforms=transforms)
        assert sent.kinds() == {part.sop_instance_uid: Accepted}
        (path,) = (tmp_path / "pacs").iterdir()
        got = dcmread(path)
    assert got.PatientID == "OTHER"
    assert got.PixelData == dcmread(str(get_testdata_file("MR_small.dcm", download=False))).PixelData


def test_without_leave_or_decoder_it_is_for_a_person(buffer: Buffer, tmp_path: Path) -> None:
    require("storescp")
    part = _sample("MR_small_RLE.dcm")
    other = deliveries(buffer, {"1.2.1": data_set("1.2.1")}, syntax=HTJ2K)
    with StoreScp(tmp_path / "pacs", syntaxes=ONLY_EXPLICIT) as pacs:
        assert set(_send(buffer, pacs.port, _delivery(buffer, part), decompress=False).kinds().values()) == {Refused}
        assert _send(buffer, pacs.port, other).kinds() == {"1.2.1": Refused}


@pytest.mark.parametrize("lost", [1, 200, 3_000])
def test_what_cannot_be_decoded_is_quarantined_and_never_sent(buffer: Buffer, tmp_path: Path, lost: int) -> None:
    require("storescp")
    part = _sample("MR_small_RLE.dcm")
    cut = {"1.2.1": part.data_set[:-lost]}
    with StoreScp(tmp_path / "pacs", syntaxes=ONLY_EXPLICIT) as pacs:
        sent = _send(buffer, pacs.port, deliveries(buffer, cut, sop_class=part.sop_class_uid, syntax=RLE))
        (outcome,) = sent.outcomes.values()
        assert isinstance(outcome, Unfit)
        assert "`syntax: decompress`" in outcome.reason
        assert not pacs.received()


def test_a_policy_asks_for_it_and_other_words_are_errors() -> None:
    text = """\
skerry: 1
destinations:
  - {name: pacs, kind: dicom, ae_title: PACS, host: a, port: 104, syntax: decompress}
routes:
  - {name: all, to: [pacs]}
"""
    (destination,) = load_policy(text).destinations
    assert isinstance(destination, DicomDestination)
    assert destination.decompress
    (error,) = check_policy(text.replace("decompress", "smaller"))
    assert error.message == "`syntax` must be `as_is` or `decompress`; `as_is` when left out"
    assert (error.line, text.splitlines()[2][error.column - 1 :][:10]) == (3, "decompress")
