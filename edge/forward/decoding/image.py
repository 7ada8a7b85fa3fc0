"""What a data set says of its pixels, and what it must say once they are not compressed (PS3.3 C.7.6.3, PS3.5 8)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from edge.forward.decoding.codestream import Codestream
from edge.transform.elements import Level, Origin
from edge.transform.failure import Impossible

PIXEL_DATA = 0x7FE00010
MOST_FRAME_BYTES = 128 << 20
"""Of one decoded frame: a codec needs some times this in memory."""
MOST_BYTES = 2 << 30
"""Of all decoded frames; they go to the disk one by one."""
_SAMPLES, _INTERPRETATION, _PLANAR, _FRAMES = 0x00280002, 0x00280004, 0x00280006, 0x00280008
_ROWS, _COLUMNS, _ALLOCATED, _STORED, _SIGNED = 0x00280010, 0x00280011, 0x00280100, 0x00280101, 0x00280103
_LOSSY, _RATIO, _METHOD = 0x00282110, 0x00282112, 0x00282114
_OFFSETS, _LENGTHS, _GROUP_LENGTH = 0x7FE00001, 0x7FE00002, 0x7FE00000
_RLE = "1.2.840.10008.1.2.5"
_JPEG_LOSSY = frozenset(("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51"))
_METHODS = {  # PS3.3 C.7.6.1.1.5.1
    **dict.fromkeys(_JPEG_LOSSY, "ISO_10918_1"),
    "1.2.840.10008.1.2.4.81": "ISO_14495_1",
    "1.2.840.10008.1.2.4.91": "ISO_15444_1",
}
_TO_RGB = frozenset(("YBR_FULL", "YBR_FULL_422"))
_NATIVE_AS_IT_IS = frozenset(("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR", "RGB", "YBR_FULL"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """The Image Pixel attributes of a data set."""

    rows: int
    columns: int
    samples: int
    frames: int
    allocated: int
    stored: int
    signed: bool
    interpretation: str
    offsets: tuple[bytes, bytes] | None
    """The Extended Offset Table and its lengths."""
    says_lossy: bool

    @property
    def frame_bytes(self) -> int:
        """Of one frame that is not compressed; of one bit for each sample, before they are packed."""
        return self.rows * self.columns * self.samples * max(1, self.allocated // 8)

    @property
    def bytes(self) -> int:
        """Of all frames, without a byte of padding."""
        pixels = self.rows * self.columns * self.samples * self.frames
        return (pixels + 7) // 8 if self.allocated == 1 else pixels * self.allocated // 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How frames are decoded, and what the data set says of them afterwards."""

    ybr: bool
    """Whether the samples of a frame are luminance and colour differences."""
    to_rgb: bool
    """Whether we turn them into colours."""
    interpretation: str
    lossy: bool


def read(level: Level, origin: Origin) -> Image:
    """What it says.

    Raises:
        Impossible: it says too little, or more than a node takes.
    """

    def raw(tag: int) -> bytes:
        element = level.find(tag)
        if element is None or not 0 < element.end - element.value_at <= MOST_BYTES:
            return b""
        return origin.read(element.value_at, element.end - element.value_at)

    def number(tag: int, otherwise: int | None = None) -> int:
        value = raw(tag)
        if len(value) == 2:
            return int(struct.unpack("<H", value)[0])
        if otherwise is None or value:
            raise Impossible("what describes its pixels is missing", tag)
        return otherwise

    frames = raw(_FRAMES).decode("latin-1").strip(" \0") or "1"
    if not frames.isascii() or not frames.isdigit() or len(frames) > 9:
        raise Impossible("what describes its pixels is missing", _FRAMES)
    tables = raw(_OFFSETS), raw(_LENGTHS)
    allocated = number(_ALLOCATED)
    image = Image(
        rows=number(_ROWS),
        columns=number(_COLUMNS),
        samples=number(_SAMPLES, 1),
        frames=int(frames) or 1,
        allocated=allocated,
        stored=number(_STORED, allocated),
        signed=number(_SIGNED, 0) == 1,
        interpretation=raw(_INTERPRETATION).decode("latin-1").strip(" \0"),
        offsets=tables if all(tables) else None,
        says_lossy=raw(_LOSSY).strip(b" \0") == b"01",
    )
    _check(image)
    return image


def plan(image: Image, transfer_syntax_uid: str, stream: Codestream | None) -> Plan:
    """How to decode, from the header of the first frame (None of RLE).

    Raises:
        Impossible: the values could come out other than they are meant.
    """
    kept = image.interpretation
    if stream is None:
        return Plan(ybr=False, to_rgb=False, interpretation=kept, lossy=False)
    fits(image, stream)
    colours = image.samples == 3
    ybr = colours and stream.is_ybr(kept)
    if colours and kept in ("YBR_ICT", "YBR_RCT"):
        kept, ybr = "RGB", False  # the codec undoes these by itself (PS3.5 8.2.4)
    elif ybr and (kept in _TO_RGB or transfer_syntax_uid in _JPEG_LOSSY):
        # The library gives all samples, so 4:2:2 is none any more. Lossless ones stay what they are, lossy ones
        # become colours: few peers without a decoder know what luminance is.
        kept = "RGB" if transfer_syntax_uid in _JPEG_LOSSY else "YBR_FULL"
    elif colours and not ybr and kept in _TO_RGB:
        kept = "RGB"
    if kept not in _NATIVE_AS_IT_IS:
        raise Impossible("nobody can say what its colours are once it is not compressed", _INTERPRETATION)
    method = transfer_syntax_uid in _METHODS
    return Plan(
        ybr=ybr,
        to_rgb=ybr and kept == "RGB",
        interpretation=kept,
        lossy=method and stream.lossy,
    )


def fits(image: Image, stream: Codestream) -> None:
    """Whether a frame is what the data set says that it is.

    Raises:
        Impossible: it is another one.
    """
    if (stream.rows, stream.columns, stream.samples) != (image.rows, image.columns, image.samples):
        raise Impossible("a frame of it has another size than the data set says")
    if stream.precision > max(image.allocated, 8 * (image.allocated == 1)):
        raise Impossible("a frame of it has more bits than the data set has room for")
    meant_otherwise = image.signed and not stream.signed and stream.precision < image.stored
    if meant_otherwise or (stream.signed and not image.signed and stream.precision != image.stored):
        raise Impossible("its frames and the data set do not agree on the sign of the values")


def describe(level: Level, image: Image, plan: Plan, transfer_syntax_uid: str, packed_bytes: int) -> None:
    """Let the data set say what is true of it with its pixels decoded; all else stays as it came.

    That values were lost once is never taken back, and is written down where only the transfer syntax told it
    (PS3.3 C.7.6.1.1.5).
    """
    if plan.interpretation != image.interpretation:
        level.put(_INTERPRETATION, "CS", _even(plan.interpretation))
    if image.samples > 1:
        level.put(_PLANAR, "US", struct.pack("<H", int(transfer_syntax_uid == _RLE)))
    if plan.lossy and not image.says_lossy:
        level.put(_LOSSY, "CS", b"01")
        level.put(_RATIO, "DS", _even(f"{image.bytes / max(1, packed_bytes):.2f}"))
        level.put(_METHOD, "CS", _even(_METHODS[transfer_syntax_uid]))
    for tag in (_OFFSETS, _LENGTHS, _GROUP_LENGTH):
        element = level.find(tag)
        if element is not None:
            level.remove(element)


def _check(image: Image) -> None:
    if not all((image.rows, image.columns)) or image.samples not in (1, 3, 4):
        raise Impossible("what describes its pixels is missing")
    if image.allocated not in (1, 8, 16, 32) or not 0 < image.stored <= image.allocated:
        raise Impossible("its pixels have a depth that no codec here knows")
    if image.frame_bytes > MOST_FRAME_BYTES:
        raise Impossible(f"one frame of it has more than {MOST_FRAME_BYTES >> 20} MiB when it is decompressed")
    if image.bytes > MOST_BYTES:
        raise Impossible(f"it has more than {MOST_BYTES >> 30} GiB when it is decompressed")


def _even(text: str) -> bytes:
    raw = text.encode("ascii")
    return raw + b" " * (len(raw) % 2)
