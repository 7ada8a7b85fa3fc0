"""JPEG, JPEG-LS and JPEG 2000 to a peer that takes no compressed images: real files, and another decoder as judge."""

from __future__ import annotations

import hashlib
import io
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.uid import UID

from edge.buffer.store import Buffer
from edge.forward.base import Accepted
from edge.forward.native import native
from edge.transfer_syntaxes import DECODABLE
from edge.transform.failure import Impossible
from provisioning.local.dataset import NotPart10, read_part10
from provisioning.local.program import find_program
from provisioning.local.storescp import StoreScp
from tests.conftest import Figures
from tests.dicom_corpus import corpus_files
from tests.jpeg_2000_samples import JPEG_2000_SAMPLES
from tests.jpeg_samples import Held, read_all, to_peer
from tests.real_programs import require
from tests.sending import deliveries

EXPLICIT, JPEG_BASELINE = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.50"
JPEG_2000 = frozenset(("1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91"))
JPEG_LS = frozenset(("1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81"))
JPEGS = DECODABLE - {"1.2.840.10008.1.2.5", "1.2.840.10008.1.2.1.99"}
REFUSED = {"JLSL_08_07_0_1F.dcm": "6 or 7 bits"}
"""What the library gets wrong, and so nobody gets."""
_PART = 4096


def _path(name: str) -> Path:
    found = get_testdata_file(name, download=False)
    assert isinstance(found, str)
    return Path(found)


@pytest.mark.parametrize(
    ("packed", "plain"),
    [
        ("MR_small_jp2klossless.dcm", "MR_small.dcm"),
        ("MR_small_jpeg_ls_lossless.dcm", "MR_small.dcm"),
        ("emri_small_jpeg_2k_lossless.dcm", "emri_small.dcm"),
        ("emri_small_jpeg_ls_lossless.dcm", "emri_small.dcm"),
        ("SC_rgb_jpeg_gdcm.dcm", "SC_rgb.dcm"),
        ("JPEG-LL.dcm", ""),
    ],
)
def test_what_was_compressed_without_loss_arrives_as_it_was_before(
    buffer: Buffer, tmp_path: Path, packed: str, plain: str
) -> None:
    require("storescp")
    part, original = read_part10(_path(packed)), dcmread(_path(packed))
    with StoreScp(tmp_path / "pacs", syntaxes="+x=") as pacs:
        contents = {part.sop_instance_uid: part.data_set}
        wanted = deliveries(buffer, contents, sop_class=part.sop_class_uid, syntax=part.transfer_syntax_uid)
        assert to_peer(buffer, pacs.port, wanted).kinds() == {part.sop_instance_uid: Accepted}
        (path,) = (tmp_path / "pacs").iterdir()
        got = dcmread(path)
    assert got.file_meta.TransferSyntaxUID == EXPLICIT
    expected = dcmread(_path(plain)).PixelData if plain else _by_dcmtk(_path(packed), tmp_path).PixelData
    assert got.PixelData == expected
    for one in (got, original):
        for keyword in ("PixelData", "PlanarConfiguration"):
            if keyword in one:
                del one[keyword]
    assert got == original


@pytest.mark.filterwarnings("ignore::UserWarning")  # of the judge, about odd values elsewhere
def test_every_file_of_the_corpus_is_decoded_as_another_decoder_does_it(tmp_path: Path, figures: Figures) -> None:
    require("storescp")
    exact: Counter[str] = Counter()
    rounded: Counter[str] = Counter()
    all_of: Counter[str] = Counter()
    for path in corpus_files("dev"):
        try:
            part = read_part10(path)
        except NotPart10:
            continue
        syntax = part.transfer_syntax_uid
        if syntax not in JPEGS:
            continue
        all_of[syntax] += 1
        if path.name in REFUSED:
            with pytest.raises(Impossible, match=REFUSED[path.name]):
                native(Held(part.data_set), syntax, tmp_path)
            continue
        got = _read(read_all(native(Held(part.data_set), syntax, tmp_path)))
        if syntax in JPEG_2000:
            worst = int(_digest(got) != JPEG_2000_SAMPLES["/".join(path.parts[-2:])])
        else:
            worst = _furthest(got.PixelData, _by_dcmtk(path, tmp_path).PixelData)
        assert worst == 0 or (worst == 1 and syntax == JPEG_BASELINE and got.PhotometricInterpretation == "RGB"), path
        (rounded if worst else exact)[syntax] += 1
    for syntax, count in sorted(all_of.items()):
        also = f", {rounded[syntax]} but for the last bit of computed colours" if rounded[syntax] else ""
        figures(f"decompressed: {UID(syntax).name}: {exact[syntax]} of {count} files exactly{also}")
    assert sum(all_of.values()) > 100
    assert sum(exact.values()) + sum(rounded.values()) == sum(all_of.values()) - len(REFUSED)


def _read(content: bytes) -> Dataset:
    return read_dataset(io.BytesIO(content), is_implicit_VR=False, is_little_endian=True)


def _digest(got: Dataset) -> str:
    bits = got.Rows * got.Columns * got.SamplesPerPixel * int(got.get("NumberOfFrames") or 1) * got.BitsAllocated
    return hashlib.sha256(got.PixelData[: (bits + 7) // 8]).hexdigest()[:16]


def _by_dcmtk(path: Path, folder: Path) -> Dataset:
    """The same decoded by DCMTK: colours computed, and beside each other."""
    syntax = str(dcmread(path, stop_before_pixels=True).file_meta.TransferSyntaxUID)
    program = "dcmdjpls" if syntax in JPEG_LS else "dcmdjpeg"
    options = [] if syntax in JPEG_LS else ["+px"]
    expected = folder / "expected.dcm"
    command = [find_program(program, package="dcmtk"), *options, str(path), str(expected)]
    subprocess.run(command, check=True, timeout=60, capture_output=True)
    return dcmread(expected)


def _furthest(one: bytes, other: bytes) -> int:
    """How far apart two samples of 8 bits are at most."""
    assert len(one) == len(other)
    worst = 0
    for at in range(0, len(one), _PART):
        if one[at : at + _PART] != other[at : at + _PART]:
            pairs = zip(one[at : at + _PART], other[at : at + _PART], strict=True)
            worst = max(worst, max(abs(a - b) for a, b in pairs))
    return worst
