"""What a compressed frame says of itself (pure): JPEG (ISO 10918-1), JPEG-LS (ISO 14495-1), JPEG 2000 (ISO 15444-1).

Read before a codec sees the frame: a header that asks for other sizes than the data set is how a small file becomes a
large one, and what colours the samples are is written here and nowhere else.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from edge.transform.failure import Impossible

_END = b"\xff\xd9"
_TAIL = 16
"""Frames are padded, by one byte or a few, and not always with zero."""
_FRAME_HEADERS = frozenset((*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0), 0xF7))
"""SOF0 to SOF15, and SOF55 of JPEG-LS."""
_SCAN, _BIT_FREE = 0xDA, frozenset((0x01, *range(0xD0, 0xD9)))
_MOST_SEGMENTS = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Codestream:
    """One frame's header."""

    rows: int
    columns: int
    samples: int
    precision: int
    signed: bool = False
    """JPEG 2000 alone knows: elsewhere the data set says how the bits are meant."""
    lossy: bool
    """Whether values were lost for certain; JPEG 2000 that could lose none may still have been cut."""
    components: tuple[int, ...] = ()
    marks: dict[int, bytes] = field(default_factory=dict)
    """The first bytes of the application segments, by marker."""

    def is_ybr(self, said: str) -> bool:
        """Whether three components of a JPEG frame are luminance and colour differences; `said` is of the data set."""
        if self.components in ((82, 71, 66), (114, 103, 98)):
            return False
        adobe = self.marks.get(0xEE, b"")
        if adobe.startswith(b"Adobe") and len(adobe) >= 12:
            return adobe[11] == 1
        return said.startswith("YBR") or self.marks.get(0xE0, b"").startswith(b"JFIF")


def read(frame: bytes, *, jpeg_2000: bool) -> Codestream:
    """Read the header of a frame that has its end.

    Raises:
        Impossible: it is no such frame, or it was cut off.
    """
    if _END not in frame[-_TAIL:]:
        raise Impossible("a frame of it has no end")
    try:
        return _jpeg_2000(frame) if jpeg_2000 else _jpeg(frame)
    except (struct.error, IndexError):
        raise Impossible("the header of a frame cannot be read") from None


def _jpeg(frame: bytes) -> Codestream:
    at, found = frame.find(b"\xff\xd8") + 2, None
    marks: dict[int, bytes] = {}
    for _ in range(_MOST_SEGMENTS):
        while frame[at] == 0xFF and frame[at + 1] == 0xFF:
            at += 1  # fill bytes
        if frame[at] != 0xFF:
            break
        marker, at = frame[at + 1], at + 2
        if marker in _BIT_FREE:
            continue
        (length,) = struct.unpack_from(">H", frame, at)
        body = frame[at + 2 : at + length]
        at += length
        if marker in _FRAME_HEADERS:
            found = marker, body
        elif 0xE0 <= marker <= 0xEF:
            marks.setdefault(marker, body[:16])
        elif marker == _SCAN and found is not None:
            return _of_sof(*found, scan=body, marks=marks)
    raise Impossible("the header of a frame cannot be read")


def _of_sof(marker: int, body: bytes, *, scan: bytes, marks: dict[int, bytes]) -> Codestream:
    precision, rows, columns, samples = struct.unpack_from(">BHHB", body)
    if marker == 0xF7 and precision in (6, 7):
        raise Impossible("its frames are JPEG-LS of 6 or 7 bits, which the decoder of this node gets wrong")
    near = scan[1 + 2 * scan[0]]  # in a scan of JPEG-LS: how far a value may be off
    return Codestream(
        rows=rows,
        columns=columns,
        samples=samples,
        precision=precision,
        lossy=near > 0 if marker == 0xF7 else marker not in (0xC3, 0xC7, 0xCB, 0xCF),
        components=tuple(body[6 + 3 * n] for n in range(samples)),
        marks=marks,
    )


def _jpeg_2000(frame: bytes) -> Codestream:
    at = frame.find(b"\xff\x4f\xff\x51")  # some wrap it into a JP2 file
    if at < 0:
        raise Impossible("the header of a frame cannot be read")
    at += 2
    right, bottom, left, top = struct.unpack_from(">IIII", frame, at + 6)
    (samples,) = struct.unpack_from(">H", frame, at + 38)
    depths = {frame[at + 40 + 3 * n] for n in range(samples)}
    if len(depths) != 1:
        raise Impossible("the samples of a frame have different depths")
    (depth,) = depths
    return Codestream(
        rows=bottom - top,
        columns=right - left,
        samples=samples,
        precision=(depth & 0x7F) + 1,
        signed=bool(depth & 0x80),
        lossy=not _is_reversible(frame, at),
    )


def _is_reversible(frame: bytes, at: int) -> bool:
    """Whether the wavelet of the default coding style is the one of integers (ISO 15444-1 Table A.20)."""
    for _ in range(_MOST_SEGMENTS):
        marker, length = struct.unpack_from(">HH", frame, at)
        if marker == 0xFF52:
            return frame[at + 13] == 1
        if marker == 0xFF90:
            break
        at += 2 + length
    raise Impossible("the header of a frame cannot be read")
