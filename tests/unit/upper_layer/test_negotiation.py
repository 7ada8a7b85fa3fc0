"""Negotiation and the services other than C-STORE, through the library without its threads."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    AsynchronousOperationsWindowNegotiation,
    ImplementationClassUIDNotification,
    MaximumLengthNotification,
    SCP_SCU_RoleSelectionNegotiation,
    UserIdentityNegotiation,
)
from pynetdicom.presentation import build_context

from edge.upper_layer import command, pdu
from edge.upper_layer.connection import Connection, Patience
from edge.upper_layer.ends import ProtocolBroken
from edge.upper_layer.messages import Command, Messages
from edge.upper_layer.negotiation import Context, Negotiator
from edge.upper_layer.services import Services, verification
from edge.upper_layer.windows import Windows

CT, VERIFICATION, PRIVATE = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.1", "1.2.999.1.2.3"
IMPLICIT, JPEG = "1.2.840.10008.1.2", "1.2.840.10008.1.2.4.70"


def _request(contexts: list[tuple[str, list[str]]], *more: Any, longest: int = 16_384) -> bytes:
    primitive = A_ASSOCIATE()
    primitive.application_context_name = pdu.APPLICATION_CONTEXT
    primitive.calling_ae_title, primitive.called_ae_title = "CT1", "SKERRY"
    proposed = []
    for number, (sop_class, syntaxes) in enumerate(contexts):
        context = build_context(sop_class, syntaxes)
        context.context_id = 2 * number + 1
        proposed.append(context)
    primitive.presentation_context_definition_list = proposed
    maximum, implementation = MaximumLengthNotification(), ImplementationClassUIDNotification()
    maximum.maximum_length_received = longest
    implementation.implementation_class_uid = "1.2.3"
    primitive.user_information = [maximum, implementation, *more]
    request = A_ASSOCIATE_RQ()
    request.from_primitive(primitive)
    return bytes(request.encode())


def _answer(raw: bytes) -> Any:
    answer = A_ASSOCIATE_AC()
    answer.decode(raw)
    return answer.to_primitive()


def test_every_storage_class_is_accepted_in_the_syntax_that_stands_first() -> None:
    agreed = Negotiator("SKERRY", 65_536).negotiate(
        _request([(CT, [JPEG, IMPLICIT]), (PRIVATE, ["1.2.999.9"]), (VERIFICATION, [IMPLICIT])])
    )
    assert agreed.contexts == {
        1: Context(CT, JPEG),
        3: Context(PRIVATE, "1.2.999.9"),
        5: Context(VERIFICATION, IMPLICIT),
    }
    assert agreed.peer_maximum_length == 16_384
    assert _answer(agreed.answer).maximum_length_received == 65_536


@pytest.mark.parametrize(("asked", "granted"), [(0, 64), (8, 8), (500, 64)])
def test_an_operations_window_is_granted_up_to_our_own(asked: int, granted: int) -> None:
    window = AsynchronousOperationsWindowNegotiation()
    window.maximum_number_operations_invoked, window.maximum_number_operations_performed = asked, 1
    agreed = Negotiator("SKERRY", 65_536).negotiate(_request([(CT, [IMPLICIT])], window))
    (item,) = (
        one
        for one in _answer(agreed.answer).user_information
        if isinstance(one, AsynchronousOperationsWindowNegotiation)
    )
    assert (item.maximum_number_operations_invoked, item.maximum_number_operations_performed) == (granted, 1)


def test_no_window_is_spoken_of_to_a_peer_that_did_not_ask() -> None:
    agreed = Negotiator("SKERRY", 65_536).negotiate(_request([(CT, [IMPLICIT])]))
    items = _answer(agreed.answer).user_information
    assert not any(isinstance(one, AsynchronousOperationsWindowNegotiation) for one in items)


def test_roles_and_identities_do_not_keep_an_association_from_opening() -> None:
    role, identity = SCP_SCU_RoleSelectionNegotiation(), UserIdentityNegotiation()
    role.sop_class_uid, role.scu_role, role.scp_role = CT, True, True
    identity.user_identity_type, identity.primary_field = 1, b"somebody"
    agreed = Negotiator("SKERRY", 65_536).negotiate(_request([(CT, [IMPLICIT])], role, identity))
    assert agreed.contexts == {1: Context(CT, IMPLICIT)}
    roles = [
        one for one in _answer(agreed.answer).user_information if isinstance(one, SCP_SCU_RoleSelectionNegotiation)
    ]
    assert [(one.scu_role, one.scp_role) for one in roles] == [(True, True)]


def test_a_transfer_syntax_that_is_too_long_for_a_uid_is_passed_over() -> None:
    raw = _request([(CT, ["1.2." + "9" * 60, IMPLICIT]), (PRIVATE, [JPEG])])
    good = b"1.2." + b"9" * 60
    too_long = raw.replace(b"\x40\x00\x00\x40" + good, b"\x40\x00\x00\x46" + good + b"999999")
    at = too_long.rindex(b"\x20\x00", 0, too_long.index(CT.encode()))
    length = int.from_bytes(too_long[at + 2 : at + 4], "big") + 6
    too_long = too_long[: at + 2] + length.to_bytes(2, "big") + too_long[at + 4 :]
    too_long = too_long[:2] + (len(too_long) - 6).to_bytes(4, "big") + too_long[6:]
    assert Negotiator("SKERRY", 65_536).negotiate(too_long).contexts == {
        1: Context(CT, IMPLICIT),
        3: Context(PRIVATE, JPEG),
    }


@pytest.mark.parametrize("cut", [10, 80, 90, 120])
def test_a_broken_request_is_named(cut: int) -> None:
    raw = _request([(CT, [IMPLICIT])])
    with pytest.raises(ProtocolBroken, match="bad-association-request"):
        Negotiator("SKERRY", 65_536).negotiate(raw[:cut])


@pytest.fixture
def served() -> Iterator[tuple[Services, socket.socket]]:
    theirs, ours = socket.socketpair()
    connection = Connection(ours, Patience(idle=2, dimse=2, pdu=2), Windows())
    request = _request([(VERIFICATION, [IMPLICIT]), (CT, [IMPLICIT])])
    services = Services(Negotiator("SKERRY", 65_536), request, Messages(connection, {1, 3}, 0), connection.send)
    services.bind(verification(lambda: 0))
    yield services, theirs
    connection.close()
    theirs.close()


def _echo(message_id: int, *, field: int = 0x0030, sop_class: str = VERIFICATION) -> bytes:
    elements = command._element(command.SOP_CLASS, sop_class.encode()) + b"".join(
        command._short(element, value)
        for element, value in (
            (command.FIELD, field),
            (command.MESSAGE_ID, message_id),
            (command.DATA_SET_TYPE, command.NO_DATA_SET),
        )
    )
    return command._whole(elements)


def test_an_echo_is_answered_by_the_library_with_nothing_before_it(served: tuple[Services, socket.socket]) -> None:
    services, theirs = served
    services.serve(Command(1, _echo(7)))
    answer = command.read(theirs.recv(1000)[12:])
    assert command.number(answer, command.FIELD) == 0x8030
    assert command.number(answer, command.RESPONDED_TO) == 7
    assert command.number(answer, command.STATUS) == 0


@pytest.mark.parametrize(("field", "sop_class"), [(0x0020, CT), (0x0030, "1.2.999")])
def test_a_service_that_is_not_offered_ends_the_association_with_one_abort(
    served: tuple[Services, socket.socket], field: int, sop_class: str
) -> None:
    services, theirs = served
    with pytest.raises(ProtocolBroken) as ended:
        services.serve(Command(3 if sop_class == CT else 1, _echo(7, field=field, sop_class=sop_class)))
    theirs.setblocking(False)
    try:
        said = theirs.recv(1000)
    except BlockingIOError:
        said = b""
    said += b"" if ended.value.abort is None else pdu.abort(ended.value.abort)
    assert said.count(b"\x07\0\0\0\0\4") == 1
