"""One data set decoded from one file into another, frame by frame. Runs in the process of `worker.py`."""

from __future__ import annotations

import errno
import mmap
import os
from collections.abc import Callable, Iterator
from functools import partial
from typing import IO

from edge.forward.decoding import image as images
from edge.forward.decoding.codec import Gdcm, rle
from edge.forward.decoding.codestream import Codestream, read
from edge.forward.decoding.image import PIXEL_DATA, Image
from edge.transform.elements import Coding, Element, Level, Reader
from edge.transform.failure import Impossible
from edge.transform.writing import header, pieces

RLE = "1.2.840.10008.1.2.5"
JPEG_2000 = frozenset(("1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91"))
_EXPLICIT = Coding(implicit=False, big=False)
_ROWS, _ICONS = 0x00280010, 0x00880200
_CHUNK = 1 << 20
_MOST_ICON_BYTES = 16 << 20
ROOM_LEFT_BYTES = 512 << 20
"""On the disk, beside the decoded form."""
_BITS = bytes(48 + (value != 0) for value in range(256))


class MappedOrigin:
    """A file whose bytes are read through the page cache."""

    def __init__(self, file: int) -> None:
        self._map = mmap.mmap(file, 0, prot=mmap.PROT_READ)
        self.length = len(self._map)

    def read(self, at: int, size: int, /) -> bytes:
        """See `Origin.read`."""
        return self._map[at : at + size]

    def close(self) -> None:
        """Let it go."""
        self._map.close()


def decompress(packed: IO[bytes], plain: IO[bytes], transfer_syntax_uid: str, progress: Callable[[], None]) -> None:
    """Write the data set of `packed` to `plain`, in Explicit VR Little Endian; tell of each frame.

    Raises:
        Impossible: it cannot be decoded.
        CodecMissing: what decodes it is not installed.
    """
    origin = MappedOrigin(packed.fileno())
    try:
        reader = Reader(origin)
        level = reader.data_set(_EXPLICIT)
        pixels = level.find(PIXEL_DATA)
        if pixels is None or not pixels.undefined:
            if level.find(_ROWS) is not None:
                raise Impossible("its pixels are missing, or not compressed as its transfer syntax says")
            _copy(packed, plain, [(0, origin.length)])  # a report among images
            return
        _unpack_icons(reader, level, packed, transfer_syntax_uid)
        _write(packed, plain, level, pixels, images.read(level, origin), transfer_syntax_uid, progress)
    finally:
        origin.close()


def _write(
    packed: IO[bytes],
    plain: IO[bytes],
    level: Level,
    pixels: Element,
    image: Image,
    transfer_syntax_uid: str,
    progress: Callable[[], None],
) -> None:
    frames = _frames(packed, pixels, image)
    first = next(frames, b"")
    plan, decode = _way(first, image, transfer_syntax_uid)
    at = level.elements.index(pixels)
    before = Level(coding=level.coding, start=level.start, end=pixels.start, elements=level.elements[:at])
    behind = Level(coding=level.coding, start=pixels.end, end=level.end, elements=level.elements[at + 1 :])
    if any(one.tag < PIXEL_DATA for one in behind.elements):
        raise Impossible("its elements are not in the order of their tags")
    images.describe(before, image, plan, transfer_syntax_uid, pixels.end - pixels.value_at)
    _copy(packed, plain, pieces(before))
    _see_to_room(plain, image.bytes)
    padding = image.bytes % 2
    plain.write(header(PIXEL_DATA, _vr(image), image.bytes + padding, level.coding))
    begun = plain.tell()
    if image.allocated == 1:
        plain.write(_packed_bits(b"".join(_each(first, frames, image, decode, progress))))
    else:
        for frame in _each(first, frames, image, decode, progress):
            plain.write(frame)
    if plain.tell() - begun != image.bytes:
        raise Impossible("a frame of it cannot be decoded")
    plain.write(bytes(padding))
    _copy(packed, plain, pieces(behind))


def _see_to_room(plain: IO[bytes], wanted: int) -> None:
    """What lies on the disk for a moment must not close the door to modalities."""
    disk = os.fstatvfs(plain.fileno())
    if disk.f_bavail * disk.f_frsize < wanted + ROOM_LEFT_BYTES:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _way(first: bytes, image: Image, transfer_syntax_uid: str) -> tuple[images.Plan, Callable[[bytes], bytes]]:
    """How this image is decoded, by its first frame."""
    if not first:
        raise Impossible("it has fewer frames than it says")
    if transfer_syntax_uid == RLE:
        return images.plan(image, transfer_syntax_uid, None), partial(rle, image=image)
    plan = images.plan(image, transfer_syntax_uid, _stream(first, transfer_syntax_uid))
    return plan, partial(_decoded, Gdcm(transfer_syntax_uid), image, plan, transfer_syntax_uid)


def _vr(image: Image) -> str:
    return "OB" if image.allocated <= 8 else "OW"


def _each(
    first: bytes,
    frames: Iterator[bytes],
    image: Image,
    decode: Callable[[bytes], bytes],
    progress: Callable[[], None],
) -> Iterator[bytes]:
    frame = first
    for number in range(image.frames):
        if number:
            frame = next(frames, b"")
        if not frame:
            raise Impossible("it has fewer frames than it says")
        decoded = decode(frame)
        if len(decoded) != image.frame_bytes:
            raise Impossible("a frame of it cannot be decoded")
        progress()
        yield decoded
    if next(frames, None):
        raise Impossible("it has more frames than it says")


def _frames(packed: IO[bytes], pixels: Element, image: Image) -> Iterator[bytes]:
    from pydicom.encaps import generate_frames

    packed.seek(pixels.value_at)
    try:
        yield from generate_frames(packed, number_of_frames=image.frames, extended_offsets=image.offsets)
    except Impossible:
        raise
    except Exception:  # whatever it makes of a damaged offset table
        raise Impossible("its frames cannot be told from each other") from None


def _decoded(gdcm: Gdcm, image: Image, plan: images.Plan, transfer_syntax_uid: str, frame: bytes) -> bytes:
    stream = _stream(frame, transfer_syntax_uid)
    images.fits(image, stream)
    return gdcm.decode(frame, image, stream, ybr=plan.ybr, to_rgb=plan.to_rgb)


def _stream(frame: bytes, transfer_syntax_uid: str) -> Codestream:
    return read(frame, jpeg_2000=transfer_syntax_uid in JPEG_2000)


def _packed_bits(samples: bytes) -> bytes:
    """One bit for each sample, frames without a gap (PS3.5 8.1.1)."""
    size = (len(samples) + 7) // 8
    return int(samples.translate(_BITS)[::-1], 2).to_bytes(size, "little")


def _unpack_icons(reader: Reader, level: Level, packed: IO[bytes], transfer_syntax_uid: str) -> None:
    """Icons are compressed as the image is (PS3.5 A.4), and may not stay so when it does not."""
    icons = level.find(_ICONS)
    for item in reader.items(icons, level, 0) if icons is not None else []:
        pixels = item.find(PIXEL_DATA)
        if pixels is None or not pixels.undefined:
            continue
        image = images.read(item, reader.origin)
        if image.bytes > _MOST_ICON_BYTES or image.allocated == 1:
            raise Impossible("its icon cannot be decoded", _ICONS)
        frames = _frames(packed, pixels, image)
        first = next(frames, b"")
        plan, decode = _way(first, image, transfer_syntax_uid)
        value = b"".join(_each(first, frames, image, decode, _nobody))
        images.describe(item, image, plan, transfer_syntax_uid, pixels.end - pixels.value_at)
        item.put(PIXEL_DATA, _vr(image), value + bytes(len(value) % 2))


def _nobody() -> None:
    """An icon is no progress."""


def _copy(packed: IO[bytes], plain: IO[bytes], found: list[bytes | tuple[int, int]]) -> None:
    for one in found:
        if isinstance(one, bytes):
            plain.write(one)
            continue
        at, end = one
        while at < end:
            chunk = os.pread(packed.fileno(), min(_CHUNK, end - at), at)
            plain.write(chunk)
            at += len(chunk)
