"""How associations end: what was whole stays, what was not is gone, and nobody waits for ever."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator

import pytest

from tests import byte_commands as commands
from tests import byte_pdus as pdus
from tests.byte_pdus import Aborted, Rejected
from tests.byte_peer import DEFAULT_CONTEXTS, BytePeer, associated, echo_seconds
from tests.edge_door import TunedEdge
from tests.edge_samples import data_set

IDLE_SECONDS = 2
PDU_SECONDS = 1.5
CUT_OFF = ("aborted", "connection-lost")
_numbers = itertools.count(1)
_message = pdus.p_data(pdus.pdv(commands.store_rq(b"1.2.9.9"), command=True))
_half = pdus.p_data(pdus.pdv(data_set("1.2.9.9", body=bytes(100_000))[:50_000], last=False))


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TunedEdge]:
    home = tmp_path_factory.mktemp("ends")
    with TunedEdge(home, pdu_timeout_seconds=PDU_SECONDS, idle_timeout_seconds=IDLE_SECONDS) as node:
        yield node
        node.wait(lambda: node.metric("skerry_edge_open_associations") == 0, "one is still counted as open")
        assert "Traceback" not in node.log_text()


def _whole(peer: BytePeer) -> str:
    """The UID of an instance that was taken."""
    uid = f"1.2.3.{next(_numbers)}"
    assert peer.store(uid, data_set(uid)) == 0x0000
    return uid


MOMENTS = {
    "inside a PDU's header": _message + _half + b"\x04\x00",
    "inside a PDV": _message + _half[:20_000],
    "inside a data set": _message + _half,
    "between command and data set": _message,
    "inside a command set": pdus.p_data(pdus.pdv(commands.store_rq(b"1.2.9.9")[:60], command=True, last=False)),
    "inside a large object": _message + _half * 100,
}
ENDS: dict[str, Callable[[BytePeer], None]] = {
    "A-ABORT": lambda peer: peer.send(pdus.abort()),
    "close": lambda peer: peer.close(),
    "reset": lambda peer: peer.reset(),
}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("moment", MOMENTS)
def test_an_object_that_never_became_whole_is_gone_and_the_ones_before_stay(
    edge: TunedEdge, moment: str, end: str
) -> None:
    counted, accepted = edge.ended(), edge.metric("skerry_edge_instances_accepted_total")
    with associated(edge.dicom_port) as peer:
        whole = _whole(peer)
        peer.send(MOMENTS[moment])
        time.sleep(0.1)
        ENDS[end](peer)
        edge.wait(lambda: edge.ended() > counted, "its end was not counted")
    assert edge.stored(whole).data_set == data_set(whole)
    assert edge.metric("skerry_edge_instances_accepted_total") == accepted + 1
    assert not edge.is_held("1.2.9.9")


def test_cut_off_objects_are_counted_and_told_with_what_happened_to_them(edge: TunedEdge) -> None:
    before = edge.metric("skerry_edge_partial_objects_total")
    with associated(edge.dicom_port, calling=b"TORN") as peer:
        peer.send(_message + _half)
        peer.send(pdus.abort())
        edge.wait(lambda: edge.metric("skerry_edge_partial_objects_total") == before + 1, "it was not counted")
    (event,) = [one for one in edge.events("ingest.partial_object_discarded") if one.get("calling_ae_title") == "TORN"]
    assert event["hint"]


def test_nothing_of_a_cut_off_object_comes_back_with_the_next_start(edge: TunedEdge) -> None:
    with associated(edge.dicom_port) as peer:
        whole = _whole(peer)
        peer.send(_message + _half * 30)
        time.sleep(0.3)
        edge.kill()
    edge.start()
    assert edge.stored(whole).data_set == data_set(whole)
    assert not edge.is_held("1.2.9.9")


def test_a_release_in_order_is_answered_and_the_connection_closed(edge: TunedEdge) -> None:
    released = edge.ended("released")
    with associated(edge.dicom_port) as peer:
        _whole(peer)
        assert peer.release()
        started = time.monotonic()
        assert peer.drain() == []
        assert time.monotonic() - started < PDU_SECONDS + 2
    edge.wait_ended("released", count=released + 1)


def test_a_release_behind_requests_is_answered_behind_their_answers(edge: TunedEdge) -> None:
    with associated(edge.dicom_port) as peer:
        for number in range(10):
            uid = f"1.2.4.{number}"
            peer.send_message(commands.store_rq(uid.encode(), message_id=number), data_set(uid))
        peer.send(pdus.release_rq())
        assert [peer.response().message_id for _ in range(10)] == list(range(10))
        found = peer.receive()
        assert found is not None
        assert found.kind == pdus.RELEASE_RP


def test_a_release_inside_an_object_ends_the_association_without_the_object(edge: TunedEdge) -> None:
    counted = edge.ended()
    with associated(edge.dicom_port) as peer:
        peer.send(_message + _half + pdus.release_rq())
        assert {one.kind for one in peer.drain()} <= {pdus.RELEASE_RP, pdus.ABORT}
    edge.wait(lambda: edge.ended() > counted, "its end was not counted")
    assert not edge.is_held("1.2.9.9")


def test_bytes_behind_a_release_are_not_served(edge: TunedEdge) -> None:
    with associated(edge.dicom_port) as peer:
        peer.send(pdus.release_rq() + pdus.p_data(pdus.pdv(commands.echo_rq(), command=True, context_id=3)))
        assert [one.kind for one in peer.drain()][:1] == [pdus.RELEASE_RP]


def test_an_association_that_stays_silent_is_aborted_after_its_time_and_no_other_is(edge: TunedEdge) -> None:
    idle = edge.ended("idle")
    started = time.monotonic()
    with associated(edge.dicom_port) as silent, associated(edge.dicom_port) as busy:
        _whole(silent)
        while time.monotonic() - started < IDLE_SECONDS - 0.5:
            assert busy.echo() == 0x0000
            time.sleep(0.2)
        heard = silent.drain()
        took = time.monotonic() - started
        assert busy.echo() == 0x0000
        assert [one.kind for one in heard] == [pdus.ABORT]
        assert IDLE_SECONDS - 0.5 < took < IDLE_SECONDS + 2
        edge.wait_ended("idle", count=idle + 1)


def test_a_peer_that_goes_on_within_the_time_may_take_as_long_as_it_likes(edge: TunedEdge) -> None:
    with associated(edge.dicom_port) as peer:
        for _ in range(4):
            time.sleep(IDLE_SECONDS * 0.6)
            assert peer.echo() == 0x0000


def test_a_rejected_peer_is_not_waited_for(edge: TunedEdge) -> None:
    """ARTIM (PS3.8 section 9.1.5): who rejects, or answers a release, closes when the other side does not."""
    with BytePeer(edge.dicom_port) as peer:
        answer = peer.request(pdus.associate_rq(DEFAULT_CONTEXTS, version=2))
        assert answer == Rejected(result=1, source=2, reason=2)
        started = time.monotonic()
        assert peer.drain() == []
        assert time.monotonic() - started < PDU_SECONDS + 2


@pytest.mark.parametrize("kind", [pdus.ASSOCIATE_AC, pdus.ASSOCIATE_RJ, pdus.RELEASE_RP, pdus.P_DATA_TF, 0x08, 0x77])
def test_a_pdu_that_may_not_come_first_is_answered_with_an_abort_or_nothing(edge: TunedEdge, kind: int) -> None:
    with BytePeer(edge.dicom_port) as peer:
        answer = peer.request(pdus.pdu(kind, bytes(100)))
        assert answer is None or isinstance(answer, Aborted)
        if isinstance(answer, Aborted):
            assert answer.source == 2
    assert echo_seconds(edge.dicom_port) < 1


def test_a_release_instead_of_an_association_request_ends_the_connection(edge: TunedEdge) -> None:
    with BytePeer(edge.dicom_port) as peer:
        peer.send(pdus.release_rq())
        assert {one.kind for one in peer.drain()} <= {pdus.ABORT}


def test_an_abort_instead_of_an_association_request_is_answered_with_nothing(edge: TunedEdge) -> None:
    with BytePeer(edge.dicom_port) as peer:
        peer.send(pdus.abort())
        assert peer.drain() == []
