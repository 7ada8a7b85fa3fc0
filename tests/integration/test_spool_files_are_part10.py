"""Whatever lies in the spool is a Part 10 file: pydicom and DCMTK read it off the disk of a dead box."""

from __future__ import annotations

import os
import subprocess
import warnings
import zlib
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pydicom.encaps import encapsulate
from pydicom.filebase import DicomFileLike
from pydicom.filewriter import write_dataset
from pydicom.uid import UID

from edge.buffer.slots import SIZES
from edge.buffer.spool import Spool
from tests.edge_samples import CT, meta
from tests.edge_spool import add_slots, intake_on
from tests.real_programs import require

IMPLICIT, EXPLICIT, BIG = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
DEFLATED, JPEG = "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.50"
SYNTAXES = {"implicit": IMPLICIT, "explicit": EXPLICIT, "big-endian": BIG, "deflated": DEFLATED, "encapsulated": JPEG}
PIXELS = os.urandom(8192)


def encoded(syntax: str, pixels: bytes = PIXELS) -> bytes:
    """A CT image as it comes over the wire in this transfer syntax."""
    image = Dataset()
    image.SOPClassUID, image.SOPInstanceUID = CT, "1.2.3.4"
    image.PatientID, image.Modality = "P1", "CT"
    image.StudyInstanceUID, image.SeriesInstanceUID = "1.2.3", "1.2.9.1"
    image.Rows, image.Columns, image.BitsAllocated, image.BitsStored = 64, 64, 16, 16
    image.SamplesPerPixel, image.HighBit, image.PixelRepresentation = 1, 15, 0
    image.PhotometricInterpretation = "MONOCHROME2"
    image.PixelData = encapsulate([pixels]) if syntax == JPEG else pixels
    image["PixelData"].VR = "OB" if syntax == JPEG else "OW"
    image["PixelData"].is_undefined_length = syntax == JPEG
    out = BytesIO()
    stream = DicomFileLike(out)
    stream.is_little_endian, stream.is_implicit_VR = syntax != BIG, syntax == IMPLICIT
    write_dataset(stream, image)
    content = out.getvalue()
    if syntax != DEFLATED:
        return content
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    packed = packer.compress(content) + packer.flush()
    return packed + b"\0" * (len(packed) % 2)


def check(path: Path, syntax: str, pixels: bytes) -> None:
    """Both readers read all of the file, and the same image."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read = dcmread(path)
    assert read.file_meta.TransferSyntaxUID == UID(syntax)
    assert read.SOPInstanceUID == "1.2.3.4"
    assert pixels in read.PixelData
    assert read.file_meta.SendingApplicationEntityTitle == "SCANNER"
    dumped = subprocess.run(["dcmdump", "+L", str(path)], capture_output=True, text=True, timeout=30, check=False)
    assert dumped.returncode == 0, dumped.stderr
    assert not dumped.stderr, dumped.stderr
    assert "[1.2.3.4]" in dumped.stdout
    assert "(7fe0,0010)" in dumped.stdout


@pytest.mark.parametrize("syntax", SYNTAXES.values(), ids=SYNTAXES)
@pytest.mark.parametrize("used", [False, True], ids=["new file", "used slot"])
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_a_spool_file_is_read_by_others(tmp_path: Path, syntax: str, *, used: bool, streamed: bool) -> None:
    require("storescp")
    if used:
        add_slots(tmp_path, 2, SIZES[1])
    content = encoded(syntax)
    with intake_on(tmp_path, ready=2 if used else 0, size=SIZES[1]) as intake:
        reception = intake.begin(meta("1.2.3.4", syntax=syntax), expected_bytes=40_000)
        if streamed:
            reception.write([content[:3_000], content[3_000:5_001]])
            sealed = reception.seal([content[5_001:]])
        else:
            sealed = reception.seal([content])
    path = Spool(tmp_path / "spool").path(sealed.instance_id)
    check(path, syntax, PIXELS)
    if used and syntax != DEFLATED:
        assert path.stat().st_size == SIZES[1]
        assert dcmread(path, force=False)[0xFFFC, 0xFFFC].VR == "OB"


@pytest.mark.parametrize("left", [0, 2, 10, 18, 20, 22, 40])
@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT])
def test_a_data_set_that_nearly_fills_its_slot_is_read_by_others(tmp_path: Path, left: int, syntax: str) -> None:
    require("storescp")
    add_slots(tmp_path, 1)
    empty = encoded(syntax, b"")
    with intake_on(tmp_path, ready=1) as intake:
        reception = intake.begin(meta("1.2.3.4", syntax=syntax), expected_bytes=1_000)
        head = reception.seal([empty]).data_set_offset  # to learn how long the file meta is
    (tmp_path / "again").mkdir()
    add_slots(tmp_path / "again", 1)
    pixels = os.urandom(SIZES[0] - head - len(empty) - left)
    with intake_on(tmp_path / "again", ready=1) as intake:
        reception = intake.begin(meta("1.2.3.4", syntax=syntax), expected_bytes=1_000)
        content = encoded(syntax, pixels)
        reception.write([content[:500]])
        sealed = reception.seal([content[500:]])
    spool = Spool(tmp_path / "again" / "spool")
    spool.verify(sealed)
    check(spool.path(sealed.instance_id), syntax, pixels)
