"""The instances that are sent: synthetic, the same bytes in every run, kept on disk between runs."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian, generate_uid

_EDITION = "1"
"""Part of every path: what was made by other code is not used again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What the instances of one set look like, and how many there are at scale 1."""

    rows: int
    columns: int
    frames: int
    count: int
    per_series: int
    warm: int
    """Instances that every contestant gets before the clock runs."""

    @property
    def pixel_bytes(self) -> int:
        """Bytes of the pixel data of one instance."""
        return self.rows * self.columns * self.frames * 2


SHAPES = {
    "ct": Shape(rows=512, columns=512, frames=1, count=600, per_series=150, warm=60),
    "small": Shape(rows=64, columns=64, frames=1, count=2000, per_series=500, warm=200),
    "big": Shape(rows=1024, columns=1024, frames=50, count=4, per_series=1, warm=1),
}


class DataSets:
    """Makes what is asked for, once. Batches differ in their UIDs, so that nobody ever sees a duplicate."""

    def __init__(self, folder: Path, scale: float) -> None:
        self._folder = folder / f"data-{_EDITION}"
        self._scale = scale
        self._read: set[Path] = set()

    def files(self, name: str, *, batch: str, share: float = 1.0) -> tuple[Path, ...]:
        """The files of one sender. `share` takes only the first part, for contestants that need minutes else."""
        return self._made(name, batch, max(1, round(SHAPES[name].count * self._scale * share)))

    def warm(self, name: str, *, batch: str = "warm") -> tuple[Path, ...]:
        """A few instances of the same kind, for the time before the clock runs."""
        return self._made(name, batch, max(1, round(SHAPES[name].warm * min(1.0, self._scale))))

    def _made(self, name: str, batch: str, count: int) -> tuple[Path, ...]:
        folder = self._folder / name / batch
        folder.mkdir(parents=True, exist_ok=True)
        paths = tuple(folder / f"{number:05d}.dcm" for number in range(count))
        for number, path in enumerate(paths):
            if not path.exists():
                half = path.with_suffix(".part")  # an interrupted run leaves no short file
                _instance(SHAPES[name], f"{name}/{batch}", number).save_as(half, enforce_file_format=True)
                half.rename(path)
        self._bring_into_memory(paths)
        return paths

    def _bring_into_memory(self, paths: Iterable[Path]) -> None:
        """Read each file once, so that who begins does not pay for the disk where the next one does not."""
        for path in paths:
            if path not in self._read:
                path.read_bytes()
                self._read.add(path)


def _uid(*parts: object) -> UID:
    return generate_uid(entropy_srcs=["skerry bench", *map(str, parts)])


def _instance(shape: Shape, batch: str, number: int) -> Dataset:
    """One CT-like instance with a vendor's private group, and pixels that no file system can compress."""
    image = Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.SOPClassUID = image.file_meta.MediaStorageSOPClassUID = CTImageStorage
    image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = _uid(batch, number)
    image.StudyInstanceUID = _uid(batch)
    image.SeriesInstanceUID = _uid(batch, "series", number // shape.per_series)
    image.StudyDate, image.StudyTime, image.Modality = "20260105", "073000", "CT"
    image.AccessionNumber, image.PatientID, image.PatientName = "B-0001", "BENCH", "BENCH^SYNTHETIC"
    image.StudyDescription, image.SeriesDescription = "CT THORAX", "AXIAL 1.0"
    image.SeriesNumber, image.InstanceNumber = number // shape.per_series + 1, number + 1
    vendor = image.private_block(0x0009, "SKERRY BENCH", create=True)
    for offset in range(40):
        vendor.add_new(offset, "LO", f"reconstruction setting {offset:02d}")
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.NumberOfFrames, image.Rows, image.Columns = shape.frames, shape.rows, shape.columns
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 12, 11, 0
    image.PixelData = random.Random(f"{batch} {number}").randbytes(shape.pixel_bytes)
    return image
