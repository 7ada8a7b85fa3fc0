"""What the door does with peers that stop, drip, flood or send bytes that are no DICOM: it ends them, and only them."""

from __future__ import annotations

import contextlib
import re
import shutil
import socket
import struct
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest
from pynetdicom.pdu import A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import A_ASSOCIATE, ImplementationClassUIDNotification, MaximumLengthNotification
from pynetdicom.presentation import build_context

from tests.edge_door import TunedEdge
from tests.edge_samples import CT, EXPLICIT, data_set
from tests.scu import association, store

ANNOUNCED = 1 << 18
OPEN = "skerry_edge_open_associations"


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """A node that all tests share, and how it stood when this one began."""

    node: TunedEdge
    metrics_before: Mapping[str, float]
    log_before: int

    @property
    def dicom_port(self) -> int:
        return self.node.dicom_port

    def log_text(self) -> str:
        """Since this test began."""
        return self.node.log_text()[self.log_before :]

    def metric(self, series: str) -> float:
        """How much it grew since this test began."""
        return _metrics(self.node).get(series, 0.0) - self.metrics_before.get(series, 0.0)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TunedEdge]:
    home = tmp_path_factory.mktemp("door")
    with TunedEdge(home, pdu_timeout_seconds=1.5, artim_timeout_seconds=1.5, max_associations=3) as node:
        yield node


@pytest.fixture
def edge(node: TunedEdge) -> Door:
    node.wait(lambda: _metrics(node).get(OPEN, 0.0) == 0, "an association of the test before is still open")
    return Door(node=node, metrics_before=_metrics(node), log_before=len(node.log_text()))


def _metrics(node: TunedEdge) -> Mapping[str, float]:
    with urllib.request.urlopen(f"{node.http_url}/metrics", timeout=5) as answer:
        found = re.findall(r"^(skerry_edge_\S+) (\S+)$", answer.read().decode(), re.MULTILINE)
    return {series: float(value) for series, value in found}


def _request(calling: bytes = b"PROBE") -> bytes:
    """An A-ASSOCIATE-RQ; the calling AE title is put into it raw (PS3.8 section 9.3.2)."""
    primitive = A_ASSOCIATE()
    primitive.application_context_name = "1.2.840.10008.3.1.1.1"
    primitive.calling_ae_title, primitive.called_ae_title = "PROBE", "SKERRY"
    length, implementation = MaximumLengthNotification(), ImplementationClassUIDNotification()
    length.maximum_length_received = 16382
    implementation.implementation_class_uid = "1.2.3.4"
    primitive.user_information = [length, implementation]
    context = build_context(CT, EXPLICIT)
    context.context_id = 1
    primitive.presentation_context_definition_list = [context]
    pdu = A_ASSOCIATE_RQ()
    pdu.from_primitive(primitive)
    encoded = bytes(pdu.encode())
    return encoded[:26] + calling.ljust(16) + encoded[42:]


def _connect(edge: Door) -> socket.socket:
    return socket.create_connection(("127.0.0.1", edge.dicom_port), timeout=8)


@contextlib.contextmanager
def _associated(edge: Door) -> Iterator[socket.socket]:
    with _connect(edge) as peer:
        peer.sendall(_request())
        kind, _, length = struct.unpack(">BBL", peer.recv(6, socket.MSG_WAITALL))
        peer.recv(length, socket.MSG_WAITALL)
        assert kind == 0x02, "an A-ASSOCIATE-AC"
        yield peer


def _element(number: int, value: bytes) -> bytes:
    value += b"\0" * (len(value) % 2)
    return struct.pack("<HHL", 0, number, len(value)) + value


def _command(
    *,
    sop_class: bytes = CT.encode(),
    uid: bytes = b"1.2.3.4",
    command: int | None = 0x0001,
    message_id: int | None = 7,
    data_set_type: int | None = 0x0001,
) -> bytes:
    """A C-STORE-RQ command set in which anything may be wrong or absent (PS3.7 section 9.3.1)."""
    numbers = {0x0100: command, 0x0110: message_id, 0x0700: 0, 0x0800: data_set_type}
    body = _element(0x0002, sop_class)
    body += b"".join(_element(tag, struct.pack("<H", n)) for tag, n in numbers.items() if n is not None)
    body += _element(0x1000, uid)
    return _element(0x0000, struct.pack("<L", len(body))) + body


def _p_data(control: int, content: bytes, context: int = 1) -> bytes:
    value = struct.pack(">LBB", len(content) + 2, context, control) + content
    return b"\x04\x00" + struct.pack(">L", len(value)) + value


def _store_request(command: bytes) -> bytes:
    return _p_data(0x03, command) + _p_data(0x02, data_set("1.2.3.4"))


def _status(peer: socket.socket) -> int:
    """The status of the C-STORE-RSP that comes next."""
    kind, _, length = struct.unpack(">BBL", peer.recv(6, socket.MSG_WAITALL))
    assert kind == 0x04, "a P-DATA-TF"
    found = re.search(rb"\x00\x00\x00\x09\x02\x00\x00\x00(..)", peer.recv(length, socket.MSG_WAITALL), re.DOTALL)
    assert found is not None
    return int.from_bytes(found[1], "little")


def _drain(peer: socket.socket) -> bytes:
    """What the door still says until it closes the connection; fails when it does not close it."""
    heard = b""
    try:
        while piece := peer.recv(4096):
            heard += piece
    except ConnectionResetError:
        pass
    return heard


def _refused(edge: Door, reason: str) -> float:
    return edge.metric(f'skerry_edge_instances_refused_total{{reason="{reason}"}}')


def _wait_ended(edge: Door, outcome: str, count: int = 1) -> None:
    deadline = time.monotonic() + 8
    while edge.metric(f'skerry_edge_associations_total{{outcome="{outcome}"}}') < count:
        assert time.monotonic() < deadline, f"{outcome} was not counted\n{edge.node.log_end()}"
        time.sleep(0.05)


def _is_as_before(edge: Door) -> None:
    """The door serves, no association is counted as open, and no library told its own story in the log."""
    with association(edge.dicom_port) as peer:
        assert store(peer, "1.2.3.99", data_set("1.2.3.99")) == 0x0000
    deadline = time.monotonic() + 5
    while _metrics(edge.node).get(OPEN, 0.0) != 0:
        assert time.monotonic() < deadline, "an association that ended is still counted as open"
        time.sleep(0.05)
    assert "Traceback" not in edge.log_text()


@pytest.mark.parametrize(
    ("outcome", "garbage"),
    [
        ("bad-presentation-context", _p_data(0x03, b"garb", context=0)),
        ("bad-presentation-context", _p_data(0x03, b"garb", context=2)),
        ("bad-command-set", _p_data(0x03, b"garb")),
        ("bad-command-set", _p_data(0x03, _command(command=0x7777))),
        ("bad-command-set", _p_data(0x03, _command(command=None))),
        ("bad-command-set", _p_data(0x03, _command(data_set_type=None))),
    ],
    ids=["context 0", "an even context", "no command set", "an unknown command", "no command", "data or not"],
)
def test_garbage_command_sets_end_their_association_with_an_abort_and_are_counted(
    edge: Door, outcome: str, garbage: bytes
) -> None:
    with _associated(edge) as peer, _associated(edge) as bystander:
        peer.sendall(garbage)
        assert _drain(peer)[:1] == b"\x07", "an A-ABORT"
        bystander.sendall(_store_request(_command()))
        assert _status(bystander) == 0x0000
    _wait_ended(edge, outcome)
    _is_as_before(edge)


@pytest.mark.parametrize("announced", [ANNOUNCED + 1, 0xFFFFFFFF])
def test_p_data_larger_than_announced_ends_its_association_before_it_is_read(edge: Door, announced: int) -> None:
    with _associated(edge) as peer:
        started = time.monotonic()
        peer.sendall(b"\x04\x00" + struct.pack(">L", announced))
        _drain(peer)
        assert time.monotonic() - started < 1
    _wait_ended(edge, "pdu-too-long")
    assert "larger" in edge.log_text()
    _is_as_before(edge)


def test_p_data_as_large_as_announced_is_taken(edge: Door) -> None:
    content = data_set("1.2.3.4", body=bytes(ANNOUNCED))[: ANNOUNCED - 6]
    with _associated(edge) as peer:
        peer.sendall(_p_data(0x03, _command()) + _p_data(0x02, content))
        assert _status(peer) == 0x0000


def test_an_association_request_of_four_gigabytes_is_not_waited_for(edge: Door) -> None:
    with _connect(edge) as peer:
        started = time.monotonic()
        peer.sendall(b"\x01\x00\xff\xff\xff\xff")
        _drain(peer)
        assert time.monotonic() - started < 1
    _is_as_before(edge)


def test_a_peer_that_drips_its_association_request_is_ended_as_one_that_is_silent(edge: Door) -> None:
    with _connect(edge) as silent, _connect(edge) as dripping:
        started = time.monotonic()
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            for byte in _request():
                dripping.sendall(bytes([byte]))
                time.sleep(0.2)
                assert time.monotonic() - started < 5, "it may drip as long as it likes"
        _drain(silent)
        assert time.monotonic() - started < 6
    _wait_ended(edge, "never-established", 2)
    _is_as_before(edge)


def test_an_established_peer_may_be_silent_between_pdus_and_slow_within_one(edge: Door) -> None:
    with _associated(edge) as peer:
        time.sleep(2)
        request = _store_request(_command())
        for start in range(0, len(request), 250):
            peer.sendall(request[start : start + 250])
            time.sleep(0.4)
        assert _status(peer) == 0x0000


def test_the_limit_of_associations_is_the_limit(edge: Door) -> None:
    with _associated(edge), _associated(edge), _associated(edge) as last:
        with _connect(edge) as one_too_many:
            one_too_many.sendall(_request())
            answer = one_too_many.recv(10, socket.MSG_WAITALL)
            assert (answer[0], tuple(answer[7:10])) == (0x03, (2, 3, 2)), "rejected: local limit exceeded"
        _wait_ended(edge, "rejected-association-limit")
        last.close()
        _wait_ended(edge, "connection-lost")
        with _associated(edge):
            pass
    _is_as_before(edge)


@pytest.mark.parametrize(
    ("sop_class", "uid", "status", "reason"),
    [
        (b"", b"1.2.3.4", 0x0122, "no-sop-class-uid"),
        (b"1." * 35, b"1.2.3.4", 0x0122, "no-sop-class-uid"),
        (CT.encode(), b"1." * 33, 0x0117, "long-sop-instance-uid"),
        (CT.encode(), b"", 0x0117, "no-sop-instance-uid"),
    ],
)
def test_a_request_with_uids_that_cannot_be_uids_is_answered_and_the_association_goes_on(
    edge: Door, sop_class: bytes, uid: bytes, status: int, reason: str
) -> None:
    with _associated(edge) as peer:
        peer.sendall(_store_request(_command(sop_class=sop_class, uid=uid)))
        assert _status(peer) == status
        peer.sendall(_store_request(_command(message_id=8)))
        assert _status(peer) == 0x0000
    assert _refused(edge, reason) == 1
    assert "Mend the sender" in edge.log_text()
    _is_as_before(edge)


def test_a_request_without_a_message_id_cannot_be_answered_and_ends_its_association(edge: Door) -> None:
    with _associated(edge) as peer:
        peer.sendall(_store_request(_command(message_id=None)))
        assert _drain(peer)[:1] == b"\x07", "an A-ABORT"
    assert _refused(edge, "no-message-id") == 1
    _is_as_before(edge)


def test_an_unforeseen_failure_is_said_counted_and_answered_so_that_the_peer_tries_again(edge: Door) -> None:
    spool = edge.node.data_dir / "spool"
    with association(edge.dicom_port) as peer:
        shutil.move(spool, edge.node.data_dir / "elsewhere")
        assert store(peer, "1.2.3.4", data_set("1.2.3.4")) == 0xA700
        shutil.move(edge.node.data_dir / "elsewhere", spool)
        assert store(peer, "1.2.3.4", data_set("1.2.3.4"), message_id=2) == 0x0000
    refused = _refused(edge, "internal")
    assert refused + _refused(edge, "spool-failed") == 1
    assert "ingest.refused" in edge.log_text()


@pytest.mark.parametrize("calling", [b"\x1b[31mRED", b"A\nB", b"\xff\xfe\xfd", b"NUL\0\0\0", b"     "])
def test_an_odd_calling_ae_title_reaches_no_log_as_it_is_and_leaves_the_door_open(edge: Door, calling: bytes) -> None:
    with _connect(edge) as peer:
        peer.sendall(_request(calling))
        peer.shutdown(socket.SHUT_WR)
        _drain(peer)
    _is_as_before(edge)
    assert not re.search(r"\\u001b|\\n|\\u0000|\\u00ff|\xff", edge.log_text())
