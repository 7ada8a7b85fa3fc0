"""C-STORE command sets by hand agree with the library's, both ways."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import UID
from pynetdicom.dimse_messages import C_STORE_RQ, C_STORE_RSP
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dsutils import decode, encode

from edge.upper_layer import command, pdu

UIDS = st.from_regex(r"[1-9](\.(0|[1-9][0-9]{0,8})){1,6}", fullmatch=True)
NUMBERS = st.integers(0, 0xFFFF)


def _theirs(message: Any) -> bytes:
    found = encode(message.command_set, is_implicit_vr=True, is_little_endian=True)
    assert found is not None
    return bytes(found)


def _read_by_the_library(raw: bytes) -> Any:
    return decode(BytesIO(raw), is_implicit_vr=True, is_little_endian=True)


@given(sop_class=UIDS, sop_instance=UIDS, message_id=NUMBERS, status=st.sampled_from([0, 0xA700, 0x0117, 0xC000]))
def test_a_response_is_what_the_library_would_write(
    sop_class: str, sop_instance: str, message_id: int, status: int
) -> None:
    answer = C_STORE()
    answer.MessageIDBeingRespondedTo = message_id
    answer.AffectedSOPClassUID = UID(sop_class)
    answer.AffectedSOPInstanceUID = UID(sop_instance)
    answer.Status = status
    message: Any = C_STORE_RSP()
    message.primitive_to_message(answer)
    ours = command.store_response(
        message_id=message_id,
        sop_class_uid=sop_class.encode(),
        sop_instance_uid=sop_instance.encode(),
        status=status,
    )
    assert ours == _theirs(message)
    assert command.read_answer(ours) == command.Answer(message_id=message_id, status=status, comment="")


@given(sop_class=UIDS, sop_instance=UIDS, message_id=NUMBERS)
def test_a_request_is_what_the_library_would_write_and_is_read_again(
    sop_class: str, sop_instance: str, message_id: int
) -> None:
    request = C_STORE()
    request.MessageID = message_id
    request.AffectedSOPClassUID = UID(sop_class)
    request.AffectedSOPInstanceUID = UID(sop_instance)
    request.Priority = 0
    request.DataSet = BytesIO(b"x")
    message: Any = C_STORE_RQ()
    message.primitive_to_message(request)
    ours = command.store_request(message_id=message_id, sop_class_uid=sop_class, sop_instance_uid=sop_instance)
    assert ours == _theirs(message)
    elements = command.read(ours)
    assert command.number(elements, command.FIELD) == command.C_STORE_RQ
    assert command.number(elements, command.MESSAGE_ID) == message_id
    assert command.uid(elements, command.SOP_CLASS) == sop_class
    assert command.uid(elements, command.SOP_INSTANCE) == sop_instance


def test_a_comment_is_cut_to_what_the_standard_allows() -> None:
    raw = command.store_response(
        message_id=1, sop_class_uid=b"1.2", sop_instance_uid=b"1.3", status=0xA700, comment="x" * 99
    )
    assert _read_by_the_library(raw).ErrorComment == "x" * 64


@given(raw=st.binary(max_size=300))
def test_any_bytes_are_elements_or_no_command_set(raw: bytes) -> None:
    try:
        elements = command.read(raw)
    except command.BadCommand:
        return
    assert sum(8 + len(value) for value in elements.values()) <= len(raw)


@pytest.mark.parametrize(
    "raw", [b"", b"\0\0\0\1", command.store_request(message_id=1, sop_class_uid="1", sop_instance_uid="2")]
)
def test_what_is_no_answer_is_said_to_be_none(raw: bytes) -> None:
    with pytest.raises(command.BadCommand):
        command.read_answer(raw)


@given(raw=st.binary(min_size=1, max_size=500), longest=st.sampled_from([0, 8, 20, 128, 4096]))
def test_a_command_set_is_cut_into_pdus_that_the_peer_takes(raw: bytes, longest: int) -> None:
    sent, found, last = pdu.command_pdus(5, raw, longest), b"", 0
    while sent:
        kind, length = pdu.HEADER.unpack_from(sent)
        assert kind == pdu.P_DATA_TF
        assert not longest or length <= longest
        size, context, control = pdu.PDV_HEADER.unpack_from(sent, 6)
        assert (size, context) == (length - 4, 5)
        assert last == 0
        last = control & pdu.LAST
        found += sent[12 : 6 + length]
        sent = sent[6 + length :]
    assert found == raw
    assert last
