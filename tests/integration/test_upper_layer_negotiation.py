"""What a peer may ask for when it opens an association, and what it is told (PS3.8 section 9.3.2, PS3.7 Annex D.3)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from tests import byte_pdus as pdus
from tests.byte_pdus import Accepted, Context
from tests.byte_peer import DEFAULT_CONTEXTS, BytePeer, associated
from tests.edge_door import TunedEdge
from tests.edge_samples import CT, data_set

PRIVATE = "1.2.826.0.1.3680043.10.9999.7"
STORAGE_SERVICE_CLASS = "1.2.840.10008.4.2"
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TunedEdge]:
    with TunedEdge(tmp_path_factory.mktemp("negotiation"), pdu_timeout_seconds=3) as node:
        yield node
        assert "Traceback" not in node.log_text()


def _stores(peer: BytePeer) -> bool:
    uid = f"1.2.3.{next(_numbers)}"
    return peer.store(uid, data_set(uid)) == 0x0000


def test_a_context_is_accepted_in_one_of_the_syntaxes_that_were_proposed(edge: TunedEdge) -> None:
    syntaxes = ("1.2.840.10008.1.2.4.70", "1.2.3.4.5", pdus.EXPLICIT, pdus.IMPLICIT)
    with associated(edge.dicom_port, [Context(abstract_syntax=CT, transfer_syntaxes=syntaxes)]) as peer:
        assert _stores(peer)
    with BytePeer(edge.dicom_port) as peer:
        result, syntax = peer.associate([Context(abstract_syntax=CT, transfer_syntaxes=syntaxes)]).contexts[1]
        assert result == 0
        assert syntax in syntaxes


@pytest.mark.parametrize(
    "abstract_syntax",
    ["1.2.840.10008.5.1.4.1.2.1.1", "1.2.840.10008.3.1.2.3.4", "1.2.840.10008.5.1.4.31", "1.2.840.10008.5.1.4.39.2"],
)
def test_a_service_that_is_not_offered_refuses_its_context_and_no_other(edge: TunedEdge, abstract_syntax: str) -> None:
    """Query, retrieval of performed procedure steps, worklist and color palettes.

    3: abstract-syntax-not-supported (PS3.8 Table 9-18).
    """
    other = Context(context_id=5, abstract_syntax=abstract_syntax, transfer_syntaxes=(pdus.IMPLICIT,))
    with BytePeer(edge.dicom_port) as peer:
        answer = peer.associate([*DEFAULT_CONTEXTS, other])
        assert {number: result for number, (result, _) in answer.contexts.items()} == {1: 0, 3: 0, 5: 3}
        assert _stores(peer)


@pytest.mark.parametrize(("scu", "scp"), [(True, False), (True, True)])
def test_the_peer_may_be_the_scu_of_storage_whatever_else_it_proposes(edge: TunedEdge, scu: bool, scp: bool) -> None:
    with BytePeer(edge.dicom_port) as peer:
        answer = peer.associate(more=pdus.role_item(CT, scu=scu, scp=scp))
        for value in answer.user_items.get(pdus.ROLE, ()):
            assert value[:-1] == b"\0\x19" + CT.encode() + b"\1"
            assert value[-1] <= scp, "no role that it did not propose"
        assert _stores(peer)


@pytest.mark.parametrize("kind", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("wants_answer", [False, True], ids=["silent", "wants an answer"])
def test_a_user_identity_is_neither_confirmed_nor_written_down(edge: TunedEdge, kind: int, wants_answer: bool) -> None:
    """Who does not support it answers nothing (PS3.7 Annex D.3.3.7): the requestor decides what that means."""
    item = pdus.identity_item(kind, b"nurse-joy", b"hunter2" if kind == 2 else b"", wants_answer=wants_answer)
    with BytePeer(edge.dicom_port) as peer:
        answer = peer.associate(more=item)
        assert pdus.IDENTITY_ANSWER not in answer.user_items
        assert _stores(peer)
    assert "hunter2" not in edge.log_text()
    assert "nurse-joy" not in edge.log_text()


def test_extended_negotiation_of_storage_is_heard_and_stops_nothing(edge: TunedEdge) -> None:
    """PS3.4 Annex B.3.1: level of support and what else, one byte each."""
    more = pdus.extended_item(CT, bytes([2, 0, 3, 0, 1, 0]))
    more += pdus.common_extended_item(PRIVATE, STORAGE_SERVICE_CLASS, [CT])
    contexts = [*DEFAULT_CONTEXTS, Context(context_id=5, abstract_syntax=PRIVATE)]
    with BytePeer(edge.dicom_port) as peer:
        answer = peer.associate(contexts, more=more)
        assert pdus.COMMON_EXTENDED not in answer.user_items, "it has no answer (PS3.7 Annex D.3.3.6.2)"
        assert peer.store("1.2.3.900", data_set("1.2.3.900"), context_id=5, sop_class=PRIVATE) == 0x0000


@pytest.mark.parametrize(("invoked", "performed"), [(0, 0), (1, 1), (5, 2), (300, 300), (65535, 1)])
def test_a_proposed_window_is_answered_with_what_we_support_and_no_more(
    edge: TunedEdge, invoked: int, performed: int
) -> None:
    """PS3.7 Annex D.3.3.3: the answer is at most the proposal, and 0 is without limit."""
    with BytePeer(edge.dicom_port) as peer:
        answer = peer.associate(more=pdus.window_item(invoked, performed))
        granted_invoked, granted_performed = answer.window
        assert 1 <= granted_invoked <= (invoked or 65535)
        assert 1 <= granted_performed <= (performed or 65535)
        assert _stores(peer)


def test_a_window_that_was_not_proposed_is_not_answered(edge: TunedEdge) -> None:
    with BytePeer(edge.dicom_port) as peer:
        assert pdus.WINDOW not in peer.associate().user_items


def test_the_answer_repeats_the_titles_and_tells_how_much_we_take(edge: TunedEdge) -> None:
    with BytePeer(edge.dicom_port) as peer:
        peer.send(pdus.associate_rq(DEFAULT_CONTEXTS, calling=b"CALLER", called=b"CALLED"))
        found = peer.receive()
        assert found is not None
        assert found.body[4:36] == b"CALLED".ljust(16) + b"CALLER".ljust(16), "as they came (PS3.8 Table 9-17)"
        answer = pdus.read_accepted(found.body)
        assert answer.maximum_length == 0 or answer.maximum_length >= 4096
        assert len(answer.user_items[pdus.IMPLEMENTATION_CLASS]) == 1


@pytest.mark.parametrize("kind", [0x5A, 0x60, 0xEE, 0xFF])
def test_user_information_that_nobody_knows_is_passed_over(edge: TunedEdge, kind: int) -> None:
    """PS3.8 section 9.3.1: items of unrecognised types are ignored."""
    with associated(edge.dicom_port, more=pdus.item(kind, b"whatever")) as peer:
        assert _stores(peer)


def test_reserved_fields_are_not_tested(edge: TunedEdge) -> None:
    request = bytearray(pdus.associate_rq(DEFAULT_CONTEXTS, version=0x0003))
    request[1], request[8:10], request[42:74] = 0xFF, b"\xff\xff", b"\xff" * 32
    with BytePeer(edge.dicom_port) as peer:
        assert isinstance(peer.request(bytes(request)), Accepted)
        assert _stores(peer)


def test_uids_padded_with_a_null_or_a_space_are_the_same_uids(edge: TunedEdge) -> None:
    contexts = [Context(abstract_syntax=f"{CT}\0", transfer_syntaxes=(f"{pdus.EXPLICIT} ",))]
    with associated(edge.dicom_port, contexts) as peer:
        assert _stores(peer)
