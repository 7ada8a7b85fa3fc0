"""Reading the header of a data set, whatever the sender made of it."""

from __future__ import annotations

import io
import struct
import time
import tracemalloc
import zlib

import pytest

from edge.tags import read_tags
from edge.tags.scan import MAX_VALUE_BYTES
from tests.tag_reading import read_both_ways

IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
BIG_ENDIAN, DEFLATED = "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"
UNDEFINED = 0xFFFFFFFF

IDENTITY = {
    0x00080016: (b"UI", b"1.2.840.10008.5.1.4.1.1.2\x00"),
    0x00080018: (b"UI", b"1.2.3.4\x00"),
    0x0020000D: (b"UI", b"1.2.3\x00"),
    0x0020000E: (b"UI", b"1.2.5\x00"),
}
LONG = {b"SQ", b"UN", b"OB", b"UT", b"OW"}


def element(tag: int, vr: bytes, data: bytes, *, syntax: str = EXPLICIT, length: int | None = None) -> bytes:
    order = ">" if syntax == BIG_ENDIAN else "<"
    head = struct.pack(order + "HH", tag >> 16, tag & 0xFFFF)
    size = len(data) if length is None else length
    if syntax == IMPLICIT or tag >> 16 == 0xFFFE:
        return head + struct.pack(order + "I", size) + data
    if vr in LONG:
        return head + vr + b"\x00\x00" + struct.pack(order + "I", size) + data
    return head + vr + struct.pack(order + "H", size) + data


def data_set(elements: dict[int, tuple[bytes, bytes]], *, syntax: str = EXPLICIT) -> bytes:
    return b"".join(element(tag, *content, syntax=syntax) for tag, content in sorted(elements.items()))


def read(content: bytes, syntax: str = EXPLICIT) -> dict[str, object]:
    tags = read_both_ways(content, syntax)
    return {**tags.values, "flags": tags.flags}


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, BIG_ENDIAN, DEFLATED])
def test_every_kind_of_value_is_read_in_every_transfer_syntax(syntax: str) -> None:
    order = ">" if syntax == BIG_ENDIAN else "<"
    content = data_set(
        IDENTITY
        | {
            0x00080008: (b"CS", b"ORIGINAL\\PRIMARY\\AXIAL "),
            0x00080060: (b"CS", b"CT"),
            0x00180050: (b"DS", b" 1.25 "),
            0x00200013: (b"IS", b"7 "),
            0x00280010: (b"US", struct.pack(order + "H", 512)),
            0x7FE00010: (b"OW", bytes(100)),
        },
        syntax=syntax,
    )
    if syntax == DEFLATED:
        packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        content = packer.compress(content) + packer.flush()
    got = read(content, syntax)
    assert got["ImageType"] == ("ORIGINAL", "PRIMARY", "AXIAL")
    assert (got["Modality"], got["SliceThickness"], got["InstanceNumber"], got["Rows"]) == ("CT", 1.25, 7, 512)
    assert got["StudyInstanceUID"] == "1.2.3"
    assert got["flags"] == ()


def test_reading_stops_before_the_pixels() -> None:
    stream = io.BytesIO(data_set(IDENTITY | {0x7FE00010: (b"OW", bytes(10_000_000))}))
    read_tags(stream, transfer_syntax_uid=EXPLICIT)
    assert stream.tell() < 1000


def test_a_stream_that_cannot_seek_and_gives_little_at_a_time_reads_the_same() -> None:
    class Trickle(io.RawIOBase):
        def __init__(self, content: bytes) -> None:
            self._content = io.BytesIO(content)

        def readable(self) -> bool:
            return True

        def read(self, size: int = -1, /) -> bytes:
            return self._content.read(min(size, 3) if size > 0 else 3)

    content = data_set(IDENTITY | {0x00091010: (b"UN", bytes(200_000)), 0x00100020: (b"LO", b"P1")})
    tags = read_tags(Trickle(content), transfer_syntax_uid=EXPLICIT)  # type: ignore[arg-type]
    assert tags.values["PatientID"] == "P1"
    assert tags.flags == ()


def test_an_absent_attribute_has_neither_value_nor_flag_but_a_missing_identity_has_a_flag() -> None:
    got = read(data_set({0x00080060: (b"CS", b"CT"), 0x00100020: (b"LO", b"")}))
    assert "PatientID" not in got
    assert got["flags"] == (
        "missing:SOPClassUID",
        "missing:SOPInstanceUID",
        "missing:StudyInstanceUID",
        "missing:SeriesInstanceUID",
    )


@pytest.mark.parametrize(
    "uid", [b"../../etc/passwd", b"1.2.03", b"1..2", b"1.2.", b"1.2 3", b"." * 4, b"1." * 33 + b"1", b"A.1"]
)
def test_a_uid_that_is_none_keeps_its_value_and_is_flagged(uid: bytes) -> None:
    got = read(data_set(IDENTITY | {0x00080018: (b"UI", uid)}))
    assert got["SOPInstanceUID"] == uid.decode()
    assert got["flags"] == ("invalid-uid:SOPInstanceUID",)


@pytest.mark.parametrize(
    ("tag", "vr", "data", "keyword"),
    [
        (0x00100010, b"PN", b"M\xfcller^Jos\xe9", "PatientName"),  # no character set is announced
        (0x00080060, b"CS", b"C\xd6", "Modality"),
        (0x00100020, b"LO", b"A\x00B", "PatientID"),
        (0x00100020, b"LO", b"\x1b[31mred", "PatientID"),
        (0x00100010, b"OB", b"Doe^Jane", "PatientName"),
        (0x00200013, b"IS", b"seven ", "InstanceNumber"),
        (0x00200013, b"IS", b"1\\2 ", "InstanceNumber"),
        (0x00200013, b"IS", b"1.5 ", "InstanceNumber"),
        (0x00200013, b"IS", b"9" * 40, "InstanceNumber"),
        (0x00180050, b"DS", b"1e999 ", "SliceThickness"),
        (0x00180050, b"DS", b"nan ", "SliceThickness"),
        (0x00180050, b"DS", b"1,25", "SliceThickness"),
        (0x00180050, b"FD", struct.pack("<d", float("inf")), "SliceThickness"),
        (0x00280010, b"US", b"\x01", "Rows"),
        (0x00280010, b"US", b"\x01\x00\x02\x00", "Rows"),
        (0x00104000, b"LT", b"x" * (MAX_VALUE_BYTES + 1), "PatientComments"),
    ],
)
def test_what_cannot_be_told_faithfully_is_left_out_and_flagged_and_harms_nothing_else(
    tag: int, vr: bytes, data: bytes, keyword: str
) -> None:
    got = read(data_set(IDENTITY | {tag: (vr, data)}))
    assert keyword not in got
    assert got["flags"] == (f"undecodable:{keyword}",)
    assert got["StudyInstanceUID"] == "1.2.3"


def test_an_unknown_character_set_costs_only_the_text_that_needs_it() -> None:
    got = read(
        data_set(
            IDENTITY
            | {
                0x00080005: (b"CS", b"ISO_IR 999"),
                0x00080060: (b"CS", b"CT"),
                0x00100010: (b"PN", b"M\xfcller"),
                0x00100020: (b"LO", b"P1"),
            }
        )
    )
    assert got["flags"] == ("unknown-character-set", "undecodable:PatientName")
    assert (got["Modality"], got["StudyInstanceUID"], got["PatientID"]) == ("CT", "1.2.3", "P1")


def test_a_value_in_the_announced_character_set_is_decoded() -> None:
    got = read(data_set(IDENTITY | {0x00080005: (b"CS", b"ISO_IR 100"), 0x00100010: (b"PN", b"M\xfcller^Jos\xe9 ")}))
    assert got["PatientName"] == "Müller^José"


def test_nested_sequences_of_undefined_length_are_passed_over() -> None:
    item, item_end = element(0xFFFEE000, b"", b"", length=UNDEFINED), element(0xFFFEE00D, b"", b"")
    end = element(0xFFFEE0DD, b"", b"")
    inner = element(0x00100020, b"LO", b"INNER ")
    deep = element(0x00081140, b"SQ", b"", length=UNDEFINED) + item + inner + item_end + end
    outer = element(0x00081115, b"SQ", b"", length=UNDEFINED) + item + deep + inner + item_end + end
    unknown = element(0x00091010, b"UN", b"", length=UNDEFINED)
    unknown += item + element(0x00100020, b"", b"HIDDEN", syntax=IMPLICIT) + item_end + end
    head = data_set({t: v for t, v in IDENTITY.items() if t < 0x00090000})
    rest = data_set({t: v for t, v in IDENTITY.items() if t > 0x00090000} | {0x00100020: (b"LO", b"OUTER ")})
    got = read(head + outer + unknown + rest)
    assert got["PatientID"] == "OUTER"
    assert got["flags"] == ()


def test_explicit_announced_and_implicit_sent_is_read_and_flagged() -> None:
    got = read(data_set(IDENTITY, syntax=IMPLICIT), EXPLICIT)
    assert got["flags"] == ("wrong-transfer-syntax",)
    got = read(data_set(IDENTITY, syntax=EXPLICIT), IMPLICIT)
    assert got["flags"] == ("wrong-transfer-syntax",)
    got = read(data_set(IDENTITY, syntax=BIG_ENDIAN), EXPLICIT)
    assert got["flags"] == ("wrong-transfer-syntax",)
    assert got["SeriesInstanceUID"] == "1.2.5"


def test_what_stands_before_the_break_is_kept() -> None:
    content = data_set(IDENTITY)
    got = read(content[:-3])
    assert got["StudyInstanceUID"] == "1.2.3"
    assert got["flags"] == ("unreadable-header", "missing:SeriesInstanceUID")


def test_a_header_that_is_cut_off_inside_a_value_that_nobody_reads_is_flagged() -> None:
    content = data_set(IDENTITY) + element(0x00210010, b"UN", b"", length=100_000) + bytes(10)
    assert read(content)["flags"] == ("unreadable-header",)


def test_bytes_behind_the_length_of_the_data_set_are_not_read() -> None:
    content = data_set(IDENTITY)
    tail = element(0x00280010, b"US", b"\x05\x00")
    tags = read_tags(io.BytesIO(content + tail), transfer_syntax_uid=EXPLICIT, length=len(content))
    assert "Rows" not in tags.values
    assert tags.flags == ()


def test_a_damaged_deflate_stream_is_flagged() -> None:
    got = read(b"\xff\xff not deflate at all", DEFLATED)
    assert "unreadable-header" in str(got["flags"])


def test_a_small_file_that_inflates_to_gigabytes_costs_neither_time_nor_memory() -> None:
    packer = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    head = data_set({0x00080018: IDENTITY[0x00080018]}) + element(0x00091010, b"UN", b"", length=0xFFFFFFF0)
    block = bytes(1024 * 1024)
    bomb = packer.compress(head) + b"".join(packer.compress(block) for _ in range(300)) + packer.flush()
    tracemalloc.start()
    started = time.monotonic()
    try:
        before = tracemalloc.get_traced_memory()[0]
        got = read(bomb, DEFLATED)
        assert tracemalloc.get_traced_memory()[1] - before < 2_000_000
    finally:
        tracemalloc.stop()
    assert time.monotonic() - started < 5
    assert got["SOPInstanceUID"] == "1.2.3.4"


@pytest.mark.parametrize(
    "unit",
    [
        element(0x00091010, b"LO", b""),
        element(0x00091010, b"SQ", b"", length=UNDEFINED) + element(0xFFFEE000, b"", b"", length=UNDEFINED),
    ],
)
def test_millions_of_elements_are_given_up_on_in_bounded_time(unit: bytes) -> None:
    content = data_set({0x00080018: IDENTITY[0x00080018]}) + unit * 1_000_000
    started = time.thread_time()
    got = read(content)  # three times in all
    assert time.thread_time() - started < 6
    assert "unreadable-header" in str(got["flags"])
    assert got["SOPInstanceUID"] == "1.2.3.4"


def test_a_disk_that_fails_is_not_taken_for_an_image_without_tags() -> None:
    class Failing(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise OSError(5, "Input/output error")

    with pytest.raises(OSError, match="Input/output"):
        read_tags(Failing(bytes(100)), transfer_syntax_uid=EXPLICIT)
