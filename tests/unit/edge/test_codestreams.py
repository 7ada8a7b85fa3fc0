"""What a compressed frame says of itself, and what a data set must say once it is decoded."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest
from pydicom.data import get_testdata_file
from pydicom.encaps import generate_frames
from pydicom.filereader import dcmread

from edge.forward.decoding.codestream import Codestream, read
from edge.forward.decoding.image import Image, describe, plan
from edge.transform.elements import BytesOrigin, Coding, Reader
from edge.transform.failure import Impossible
from edge.transform.writing import header, pieces

BASELINE, LOSSLESS, NEAR, JPEG_2000 = (f"1.2.840.10008.1.2.4.{kind}" for kind in (50, 70, 81, 91))
EXPLICIT = Coding(implicit=False, big=False)
COLOURS = Image(
    rows=10,
    columns=10,
    samples=3,
    frames=1,
    allocated=8,
    stored=8,
    signed=False,
    interpretation="YBR_FULL_422",
    offsets=None,
    says_lossy=True,
)
GREY = replace(COLOURS, samples=1, interpretation="MONOCHROME2", allocated=16, stored=12)
FRAME = Codestream(rows=10, columns=10, samples=3, precision=8, lossy=True, components=(1, 2, 3))
GREY_FRAME = replace(FRAME, samples=1, precision=12, components=(1,))


def _frame(name: str) -> bytes:
    return next(generate_frames(dcmread(str(get_testdata_file(name, download=False))).PixelData, number_of_frames=1))


@pytest.mark.parametrize(
    ("name", "of_2000", "precision", "signed", "lossy"),
    [
        ("JPGExtended.dcm", False, 12, False, True),
        ("JPEG-LL.dcm", False, 16, False, False),
        ("SC_rgb_jpeg_dcmtk.dcm", False, 8, False, True),
        ("MR_small_jpeg_ls_lossless.dcm", False, 16, False, False),
        ("JPEGLSNearLossless_16.dcm", False, 16, False, True),
        ("MR_small_jp2klossless.dcm", True, 16, True, False),
        ("JPEG2000.dcm", True, 16, True, True),
    ],
)
def test_a_frame_tells_its_size_depth_and_whether_values_were_lost(
    name: str, of_2000: bool, precision: int, signed: bool, lossy: bool
) -> None:
    said, found = dcmread(str(get_testdata_file(name, download=False))), read(_frame(name), jpeg_2000=of_2000)
    assert (found.rows, found.columns, found.samples) == (said.Rows, said.Columns, said.SamplesPerPixel)
    assert (found.precision, found.signed, found.lossy) == (precision, signed, lossy)


@pytest.mark.parametrize(("name", "of_2000"), [("JPEG-LL.dcm", False), ("MR_small_jp2klossless.dcm", True)])
def test_no_beginning_of_a_frame_is_taken_for_one(name: str, of_2000: bool) -> None:
    whole = _frame(name)
    for length in range(0, 200, 3):
        for end in (b"", b"\xff\xd9"):
            try:
                read(whole[:length] + end, jpeg_2000=of_2000)
            except Impossible:
                continue
            assert end, "a frame without an end was read"
            assert length > 20


@pytest.mark.parametrize(
    ("frame", "said", "ybr"),
    [
        (FRAME, "YBR_FULL_422", True),
        (FRAME, "RGB", False),
        (replace(FRAME, components=(82, 71, 66)), "YBR_FULL_422", False),
        (replace(FRAME, marks={0xE0: b"JFIF\0\1\2"}), "RGB", True),
        (replace(FRAME, marks={0xEE: b"Adobe\0\x65\0\0\0\0\0"}), "YBR_FULL", False),
        (replace(FRAME, marks={0xEE: b"Adobe\0\x65\0\0\0\0\1"}), "RGB", True),
    ],
)
def test_the_frame_knows_better_than_the_data_set_what_its_colours_are(frame: Codestream, said: str, ybr: bool) -> None:
    assert frame.is_ybr(said) is ybr


@pytest.mark.parametrize(
    ("said", "syntax", "becomes"),
    [
        ("YBR_FULL_422", BASELINE, "RGB"),
        ("YBR_FULL", BASELINE, "RGB"),
        ("RGB", BASELINE, "RGB"),
        ("YBR_FULL", LOSSLESS, "YBR_FULL"),
        ("YBR_FULL_422", LOSSLESS, "YBR_FULL"),
        ("YBR_ICT", JPEG_2000, "RGB"),
        ("YBR_RCT", JPEG_2000, "RGB"),
    ],
)
def test_colours_are_named_as_they_leave(said: str, syntax: str, becomes: str) -> None:
    made = plan(replace(COLOURS, interpretation=said), syntax, FRAME)
    assert made.interpretation == becomes
    assert made.to_rgb == (syntax == BASELINE and said != "RGB")


@pytest.mark.parametrize(
    ("image", "frame"),
    [
        (GREY, replace(GREY_FRAME, rows=11)),
        (GREY, replace(GREY_FRAME, samples=3)),
        (replace(GREY, allocated=8, stored=8), GREY_FRAME),
        (replace(GREY, signed=True, stored=16), GREY_FRAME),
        (replace(GREY, stored=16), replace(GREY_FRAME, signed=True)),
        (replace(GREY, interpretation="YBR_PARTIAL_422"), GREY_FRAME),
    ],
)
def test_what_could_come_out_other_than_it_is_meant_is_not_decoded(image: Image, frame: Codestream) -> None:
    with pytest.raises(Impossible):
        plan(image, LOSSLESS, frame)


def test_values_that_were_lost_stay_lost_also_where_only_the_syntax_told_it() -> None:
    raw = header(0x00280004, "CS", 12, EXPLICIT) + b"MONOCHROME2 "
    for says_lossy, written in ((True, False), (False, True)):
        image = replace(GREY, says_lossy=says_lossy)
        level = Reader(BytesOrigin(raw)).data_set(EXPLICIT)
        describe(level, image, plan(image, NEAR, GREY_FRAME), NEAR, 40)
        left = b"".join(one if isinstance(one, bytes) else raw[one[0] : one[1]] for one in pieces(level))
        assert left.startswith(raw)
        added = header(0x00282110, "CS", 2, EXPLICIT) + b"01"
        added += header(0x00282112, "DS", 4, EXPLICIT) + b"5.00"
        added += header(0x00282114, "CS", 12, EXPLICIT) + b"ISO_14495_1 "
        assert left[len(raw) :] == (added if written else b"")


def test_a_table_of_offsets_goes_with_what_it_pointed_into() -> None:
    raw = b"".join(header(tag, "OV", 8, EXPLICIT) + struct.pack("<Q", 0) for tag in (0x7FE00001, 0x7FE00002))
    level = Reader(BytesOrigin(raw)).data_set(EXPLICIT)
    describe(level, GREY, plan(GREY, LOSSLESS, replace(GREY_FRAME, lossy=False)), LOSSLESS, 40)
    assert pieces(level) == []
