"""Peers that take Implicit VR Little Endian and nothing else: what goes there, and that nothing of it changes."""

from __future__ import annotations

import io
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.filereader import read_dataset

from edge.buffer.store import Buffer
from edge.forward.base import Accepted, Refused
from edge.forward.native import in_implicit
from edge.steps import Step, Transform
from edge.transform.failure import Impossible
from provisioning.local.dataset import NotPart10, Part10, read_part10
from provisioning.local.program import find_program
from provisioning.local.storescp import StoreScp
from tests.conftest import Figures
from tests.dicom_corpus import corpus_files
from tests.jpeg_samples import Held, read_all, sample, to_peer
from tests.real_programs import require
from tests.sending import Sent, deliveries

EXPLICIT, IMPLICIT, BIG_ENDIAN = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.2"

ODD = {"dx_image.dcm"}
"""Its pixels have an odd length, which the judge mends and we do not."""


@pytest.fixture
def pacs(tmp_path: Path) -> Iterator[StoreScp]:
    require("storescp")
    with StoreScp(tmp_path / "pacs", syntaxes="+xi") as peer:
        yield peer


def _send(buffer: Buffer, pacs: StoreScp, part: Part10, transforms: tuple[Transform, ...] = ()) -> Sent:
    contents = {part.sop_instance_uid: part.data_set}
    wanted = deliveries(buffer, contents, sop_class=part.sop_class_uid, syntax=part.transfer_syntax_uid)
    return to_peer(buffer, pacs.port, wanted, transforms)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("MR_small.dcm", "MR_small.dcm"),
        ("MR_small_RLE.dcm", "MR_small.dcm"),
        ("MR_small_jp2klossless.dcm", "MR_small.dcm"),
        ("emri_small_jpeg_ls_lossless.dcm", "emri_small.dcm"),
    ],
)
def test_what_it_does_not_take_goes_in_implicit_vr(
    buffer: Buffer, pacs: StoreScp, tmp_path: Path, name: str, values: str
) -> None:
    part = sample(name)
    assert _send(buffer, pacs, part).kinds() == {part.sop_instance_uid: Accepted}
    (path,) = (tmp_path / "pacs").iterdir()
    got = dcmread(path)
    assert got.file_meta.TransferSyntaxUID == IMPLICIT
    expected = read_dataset(io.BytesIO(sample(values).data_set), is_implicit_VR=False, is_little_endian=True)
    assert got.PixelData == expected.PixelData
    assert (got.Rows, got.PatientID) == (expected.Rows, expected.PatientID)


def test_transforms_of_the_destination_are_done_to_it(buffer: Buffer, pacs: StoreScp, tmp_path: Path) -> None:
    part = sample("MR_small_jpeg_ls_lossless.dcm")
    step = Step(kind="set", tag=0x00100020, value="OTHER")
    sent = _send(buffer, pacs, part, (Transform(name="other", steps=(step,)),))
    assert sent.kinds() == {part.sop_instance_uid: Accepted}
    (path,) = (tmp_path / "pacs").iterdir()
    assert dcmread(path).PatientID == "OTHER"


def test_big_endian_still_waits_for_a_person(buffer: Buffer, pacs: StoreScp) -> None:
    part = sample("MR_small_bigendian.dcm")
    assert part.transfer_syntax_uid == BIG_ENDIAN
    assert _send(buffer, pacs, part).kinds() == {part.sop_instance_uid: Refused}


@pytest.mark.filterwarnings("ignore::UserWarning")  # of the judge, about odd values
def test_every_explicit_file_of_the_corpus_says_the_same_in_implicit_vr(tmp_path: Path, figures: Figures) -> None:
    require("storescp")
    same, unsound = 0, 0
    for path in corpus_files("dev"):
        try:
            part = read_part10(path)
        except NotPart10:
            continue
        if part.transfer_syntax_uid != EXPLICIT or len(part.data_set) > 4 << 20 or path.name in ODD:
            continue
        try:
            written = read_all(in_implicit(Held(part.data_set), tmp_path))
        except Impossible:
            unsound += 1
            continue
        expected = tmp_path / "expected.dcm"
        command = [find_program("dcmconv", package="dcmtk"), "+ti", str(path), str(expected)]
        done = subprocess.run(command, check=False, timeout=60, capture_output=True)
        if done.returncode == 0:
            ours = read_dataset(io.BytesIO(written), is_implicit_VR=True, is_little_endian=True)
            assert ours == dcmread(expected, force=True), path
            same += 1
    figures(f"implicit VR: {same} explicit files of the corpus say the same as by DCMTK, {unsound} are not sound")
    assert same > 60
    assert unsound < 5
