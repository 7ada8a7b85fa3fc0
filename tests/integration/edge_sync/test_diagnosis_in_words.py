"""gRPC says "socket closed" to nearly everything; the node says what is wrong and what to do. Real TLS."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from edge.errors import UplinkRefused, UplinkUnreachable
from edge.health import Condition, HealthBoard
from edge.sync.conditions import LinkHealth
from edge.sync.grpc_uplink import GrpcUplink
from edge.sync.identity import NodeIdentity
from edge.sync.probe import knock
from edge.sync.reachability import Reachability
from mesh.v1.sync_pb2 import PullPolicyRequest
from tests.certificates import Issued, MeshAuthority
from tests.control_twin import ControlTwin, GrpcControl
from tests.memory_outbox import MemoryOutbox

MESH = MeshAuthority()
DAY = timedelta(days=1)


@contextmanager
def control(certificate: Issued | None = None) -> Iterator[GrpcControl]:
    server = GrpcControl(ControlTwin(MESH), certificate=certificate)
    try:
        yield server
    finally:
        server.stop()


def told(identity: NodeIdentity, *, now: datetime | None = None, calls: int = 1) -> Condition:
    """The condition after real calls that must fail."""
    board, outbox = HealthBoard(), MemoryOutbox()
    reachability = Reachability(
        outbox=outbox,
        health=LinkHealth(board),
        identity=identity,
        now=lambda: now or datetime.now(UTC),
        on_return=lambda: None,
        knock=lambda node: knock(node, timeout=1.0),
    )
    uplink = GrpcUplink(identity, deadline_seconds=5)
    try:
        for _ in range(calls):
            with pytest.raises(UplinkUnreachable) as caught:
                uplink.pull_policy(PullPolicyRequest())
            reachability.trouble(caught.value)
    finally:
        uplink.close()
    (condition,) = board.current()
    assert outbox.notes["link.state"] == "down"
    assert outbox.notes["link.error"] == condition.text
    assert condition.hint
    return condition


def test_a_good_identity_is_answered() -> None:
    with control() as server:
        uplink = GrpcUplink(MESH.identity(grpc_endpoint=server.endpoint))
        assert uplink.pull_policy(PullPolicyRequest()) is None
        uplink.close()


def test_an_expired_certificate() -> None:
    expired = MESH.client(begins=-40 * DAY)
    with control() as server:
        condition = told(MESH.identity(grpc_endpoint=server.endpoint, issued=expired))
    assert "has expired" in condition.text
    assert "enrol" in condition.hint


def test_a_clock_that_is_behind_finds_the_own_certificate_not_yet_valid() -> None:
    with control() as server:
        early = MESH.client(begins=2 * DAY)
        condition = told(MESH.identity(grpc_endpoint=server.endpoint, issued=early))
    assert "not yet valid" in condition.text
    assert "clock" in condition.hint


def test_a_server_certificate_that_is_not_yet_valid_speaks_of_the_clock() -> None:
    with control(MESH.server(begins=2 * DAY)) as server:
        condition = told(MESH.identity(grpc_endpoint=server.endpoint))
    assert "not yet valid" in condition.text
    assert "clock" in condition.hint


def test_an_expired_server_certificate() -> None:
    with control(MESH.server(begins=-91 * DAY)) as server:
        condition = told(MESH.identity(grpc_endpoint=server.endpoint))
    assert "control plane's certificate has expired" in condition.text


def test_a_node_of_another_mesh_is_not_taken() -> None:
    stranger = MeshAuthority("another mesh")
    with control() as server:
        identity = stranger.identity(grpc_endpoint=server.endpoint, ca_pem=MESH.ca_pem)
        condition = told(identity)
    assert "does not take this node's certificate" in condition.text
    assert "another mesh" in condition.hint


def test_a_control_plane_of_another_mesh_is_not_trusted() -> None:
    stranger = MeshAuthority("another mesh")
    with control() as server:
        condition = told(stranger.identity(grpc_endpoint=server.endpoint))
    assert "does not have a certificate of this node's mesh" in condition.text
    assert "inspects TLS" in condition.hint


def test_a_control_plane_under_another_name() -> None:
    with control(MESH.server(host="control.example")) as server:
        condition = told(MESH.identity(grpc_endpoint=server.endpoint))
    assert "another host" in condition.text


def test_a_server_certificate_is_not_a_nodes_certificate() -> None:
    with control() as server:
        condition = told(MESH.identity(grpc_endpoint=server.endpoint, issued=MESH.server()))
    assert "does not take this node's certificate" in condition.text


def test_a_missing_certificate() -> None:
    with control() as server:
        identity = MESH.identity(grpc_endpoint=server.endpoint, issued=Issued(key_pem=b"", certificate_pem=b""))
        assert knock(identity).finding.name == "IDENTITY_UNUSABLE"


def test_connection_refused() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        condition = told(MESH.identity(grpc_endpoint=f"127.0.0.1:{unused.getsockname()[1]}"))
    assert "Connection refused" in condition.text
    assert "firewall" in condition.hint


def test_a_name_that_is_not_known() -> None:
    condition = told(MESH.identity(grpc_endpoint="control.invalid:443"))
    assert "cannot be found" in condition.text
    assert "DNS" in condition.hint


def test_something_that_does_not_speak_tls() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_babble, args=(listener,), daemon=True)
        thread.start()
        condition = told(MESH.identity(grpc_endpoint=f"127.0.0.1:{listener.getsockname()[1]}"))
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)
    assert "does not speak TLS" in condition.text


def _babble(listener: socket.socket) -> None:
    while True:
        try:
            peer, _ = listener.accept()
        except OSError:
            return
        with peer:
            peer.recv(1024)
            peer.sendall(b"220 mail.example ESMTP\r\n")


def test_one_failed_call_on_a_good_road_raises_no_alarm_but_the_second_does() -> None:
    with control() as server:
        server._twin.fail_next = [UplinkUnreachable("busy"), UplinkUnreachable("busy")]
        condition = told(MESH.identity(grpc_endpoint=server.endpoint), calls=2)
    assert "busy" in condition.text


def test_a_revoked_node_hears_that_it_is_refused() -> None:
    board = HealthBoard()
    reachability = Reachability(
        outbox=MemoryOutbox(),
        health=LinkHealth(board),
        identity=MESH.identity(),
        now=lambda: datetime.now(UTC),
        on_return=lambda: None,
    )
    reachability.trouble(UplinkRefused("this node was revoked"))
    (condition,) = board.current()
    assert "revoked" in condition.text
    reachability.contact()
    assert board.current() == ()
