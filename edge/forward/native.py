"""Compressed data sets as Explicit VR Little Endian, for peers that do not take them as they were stored.

Only what this node can decode without loss and without further libraries: RLE Lossless (PS3.5 Annex G) and deflated
data sets (PS3.5 A.5). pydicom's decoder is loaded when the first one is needed: few nodes ever do.
"""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from edge.forward.splice import Readable, inflated
from edge.transform.failure import Impossible

if TYPE_CHECKING:
    from pydicom.dataelem import DataElement, RawDataElement
    from pydicom.dataset import Dataset

_UNDEFINED = 0xFFFFFFFF
_DEFLATED = "1.2.840.10008.1.2.1.99"
MOST_BYTES = 512 << 20
"""Of an object before and after, because it is decoded in memory."""


class Held:
    """Bytes in memory that are proven already."""

    def __init__(self, content: bytes) -> None:
        self._content = memoryview(content)
        self.left = len(content)

    def read(self, room: memoryview) -> int:
        """See `Readable.read`."""
        count, at = min(len(room), self.left), len(self._content) - self.left
        room[:count] = self._content[at : at + count]
        self.left -= count
        return count

    def look(self, at: int, size: int) -> bytes:
        """See `Readable.look`."""
        return bytes(self._content[at : at + size])

    def close(self) -> None:
        """Nothing is open."""


def native(original: Readable, transfer_syntax_uid: str, data_dir: Path) -> Readable:
    """The same data set, not compressed. Takes the original over.

    Raises:
        Impossible: it cannot be decoded; nothing may be sent.
        SealBroken: the disk gave back something else than was sealed.
    """
    if transfer_syntax_uid == _DEFLATED:
        return inflated(original, data_dir)
    if original.left > MOST_BYTES:
        raise Impossible("it is too large to be decompressed")
    content = bytearray(original.left)
    at = 0
    while original.left:
        at += original.read(memoryview(content)[at:])
    decoded = Held(_decoded(content))
    original.close()
    return decoded


def _decoded(content: bytearray) -> bytes:
    from pydicom.dataset import FileMetaDataset
    from pydicom.filebase import DicomBytesIO
    from pydicom.filereader import read_dataset
    from pydicom.filewriter import write_dataset
    from pydicom.uid import RLELossless

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about odd values, which stay as they are
            warnings.filterwarnings("error", message=".*in file ")  # it ends too early
            data_set = read_dataset(io.BytesIO(content), is_implicit_VR=False, is_little_endian=True)
            data_set.file_meta = FileMetaDataset()
            data_set.file_meta.TransferSyntaxUID = RLELossless
            _decode_pixels(data_set)
            out = DicomBytesIO()
            out.is_implicit_VR, out.is_little_endian = False, True
            write_dataset(out, data_set)
    except Impossible:
        raise
    except Exception as error:  # whatever a decoder makes of a damaged object, the object stands in the way
        raise Impossible(f"its pixels cannot be decoded ({type(error).__name__})") from None
    return out.getvalue()


def _is_cut_off(element: DataElement | RawDataElement) -> bool:
    """pydicom takes a value that is shorter than its length says."""
    length, value = getattr(element, "length", None), element.value
    return length not in (None, _UNDEFINED) and isinstance(value, bytes) and len(value) != length


def _decode_pixels(data_set: Dataset) -> None:
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.uid import RLELossless

    if "PixelData" not in data_set or any(map(_is_cut_off, data_set.values())):
        raise Impossible("its end or its pixels are missing")
    size = data_set.Rows * data_set.Columns * data_set.SamplesPerPixel * ((data_set.BitsAllocated + 7) // 8)
    if size * int(data_set.get("NumberOfFrames") or 1) > MOST_BYTES:
        raise Impossible("it is too large to be decompressed")
    planar = 0
    frames = []
    for frame, pixel in get_decoder(RLELossless).iter_buffer(data_set):
        frames.append(bytes(frame))
        planar = int(pixel.get("planar_configuration") or 0)
    frames.append(b"\0" * (sum(map(len, frames)) % 2))
    element = data_set["PixelData"]
    element.value = b"".join(frames)
    element.is_undefined_length = False
    element.VR = "OB" if data_set.BitsAllocated <= 8 else "OW"
    if data_set.SamplesPerPixel > 1:
        data_set.PlanarConfiguration = planar
    for offsets in ("ExtendedOffsetTable", "ExtendedOffsetTableLengths"):  # PS3.3 C.7.6.3.1.8: of encapsulated pixels
        if offsets in data_set:
            del data_set[offsets]
