"""Seals and file meta: what is written is read back, and nothing else is taken for it."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from edge.buffer.part10 import FileMeta, decode_meta, encode_meta
from edge.buffer.seal import PREAMBLE_LENGTH, Seal, from_microseconds, pack, to_microseconds, unpack
from edge.model import AssociationFacts

seals = st.builds(
    Seal,
    instance_id=st.integers(0, 2**128 - 1).map("{:032x}".format),
    tail_length=st.integers(0, 2**16 - 1),
    data_set_offset=st.integers(0, 2**32 - 1),
    data_set_length=st.integers(0, 2**64 - 1),
    received_at=st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    checksum=st.integers(0, 2**32 - 1),
    meta_checksum=st.integers(0, 2**32 - 1),
)
titles = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_ -", max_size=16).map(str.strip)
uids = st.text("0123456789.", max_size=64)


@given(seals)
def test_a_seal_is_read_back_as_it_was_written(seal: Seal) -> None:
    assert unpack(pack(seal)) == seal


@given(seals, st.integers(0, 59), st.integers(1, 255))
def test_a_seal_with_one_damaged_byte_is_no_seal(seal: Seal, at: int, change: int) -> None:
    raw = bytearray(pack(seal))
    raw[at] ^= change
    assert unpack(bytes(raw)) is None


@given(st.binary(max_size=300))
def test_random_bytes_are_no_seal(raw: bytes) -> None:
    assert unpack(raw) is None


def test_the_seal_fills_exactly_the_preamble_of_a_part_10_file() -> None:
    seal = Seal(
        instance_id="0" * 32,
        tail_length=0,
        data_set_offset=1,
        data_set_length=2,
        received_at=datetime.now(UTC),
        checksum=3,
        meta_checksum=4,
    )
    assert len(pack(seal)) == PREAMBLE_LENGTH == 128


@given(st.integers(0, 2**52))
def test_microseconds_are_exact(value: int) -> None:
    assert to_microseconds(from_microseconds(value)) == value


@given(uids, uids, uids, titles, titles, st.sampled_from(["10.0.0.1", "::1", ""]))
def test_file_meta_is_read_back_as_it_was_written(
    sop_class: str, instance: str, syntax: str, calling: str, called: str, address: str
) -> None:
    meta = FileMeta(
        sop_class_uid=sop_class,
        sop_instance_uid=instance,
        transfer_syntax_uid=syntax,
        facts=AssociationFacts(calling_ae_title=calling, called_ae_title=called, peer_address=address),
    )
    assert decode_meta(encode_meta(meta)) == meta


@given(st.binary(max_size=200))
def test_random_bytes_behind_the_prefix_are_no_file_meta_of_ours(raw: bytes) -> None:
    assert decode_meta(b"DICM" + raw) is None or b"\x02\x00\x02\x00" in raw
