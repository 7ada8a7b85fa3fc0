"""A whole link against a real gRPC server: outages, restarts, renewal, stop."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from edge.errors import PolicyError, UplinkUnreachable
from edge.health import HealthBoard
from edge.sync.backoff import Backoff
from edge.sync.identity import NodeIdentity, load_identity, save_identity
from edge.sync.link import Link
from edge.sync.policy_pipeline import PolicyPipeline
from edge.sync.policy_store import PolicyStore
from edge.sync.probation import Terms
from mesh.v1.common_pb2 import PolicyBundle
from mesh.v1.sync_pb2 import ATTEMPT_STATE_REJECTED
from tests.certificates import MeshAuthority
from tests.control_twin import ControlTwin, GrpcControl
from tests.memory_outbox import MemoryOutbox
from tests.signed_policies import bundle

MESH = MeshAuthority()


def until(what: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait for something to become true."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


class Node:
    """What a node gives its link."""

    def __init__(self, data_dir: Path, identity: NodeIdentity) -> None:
        save_identity(data_dir, identity)
        self.outbox = MemoryOutbox()
        self.board = HealthBoard()
        self.applied: list[int] = []
        self.refuse: set[int] = set()
        self.policies = PolicyStore(data_dir, site="north", public_key=MESH.policy_public_key)
        stored = self.policies.load()
        self.link = Link(
            data_dir=data_dir,
            identity=identity,
            outbox=self.outbox,
            health=self.board,
            pipeline=lambda health, on_change: PolicyPipeline(
                policies=self.policies,
                health=health,
                running=stored.bundle if stored else None,
                apply_policy=self._apply,
                terms=Terms(seconds=0),
                on_change=on_change,
            ),
            status=lambda: {
                "instances_held": 3,
                "conditions": [
                    {"code": held.code, "severity": str(held.severity), "text": held.text, "hint": held.hint}
                    for held in self.board.current()
                ],
            },
            software_version="1.2.3",
            backoff=Backoff(base_seconds=0.05, cap_seconds=0.5),
        )

    def codes(self) -> set[str]:
        return {condition.code for condition in self.board.current()}

    def _apply(self, policy: PolicyBundle) -> None:
        if policy.version.version in self.refuse:
            raise PolicyError("line 3, column 1: there is no attribute Modalityy")
        self.applied.append(policy.version.version)


@contextmanager
def running(data_dir: Path, identity: NodeIdentity) -> Iterator[Node]:
    node = Node(data_dir, identity)
    node.link.start()
    try:
        yield node
    finally:
        began = time.monotonic()
        node.link.stop()
        assert time.monotonic() - began < 8


@pytest.fixture
def server() -> Iterator[GrpcControl]:
    control = GrpcControl(ControlTwin(MESH))
    yield control
    control.stop()


@pytest.fixture
def twin(server: GrpcControl) -> ControlTwin:
    return server._twin


def test_events_policy_and_status_travel(tmp_path: Path, server: GrpcControl, twin: ControlTwin) -> None:
    twin.publish(bundle(MESH, 1))
    with running(tmp_path, MESH.identity(grpc_endpoint=server.endpoint)) as node:
        node.outbox.add(700)
        until(lambda: not node.outbox.waiting() and node.applied == [1])
        until(lambda: any(status.policy.active.version == 1 for status in twin.statuses))
        assert twin.sequences("node-1", 7) == list(range(1, 701))
        assert node.outbox.notes["link.state"] == "up"
        assert node.outbox.notes["link.last_contact"]
        status = twin.statuses[-1]
        assert (status.software_version, status.instances_held, status.epoch) == ("1.2.3", 3, 7)
        assert status.boot_id
        assert status.HasField("node_time")
        assert node.codes() == set()


def test_a_new_event_travels_at_once(tmp_path: Path, server: GrpcControl, twin: ControlTwin) -> None:
    with running(tmp_path, MESH.identity(grpc_endpoint=server.endpoint)) as node:
        until(lambda: twin.statuses)
        node.outbox.add(1)
        until(lambda: twin.applied == 1, seconds=10)


def test_a_published_policy_comes_by_the_long_poll(tmp_path: Path, server: GrpcControl, twin: ControlTwin) -> None:
    with running(tmp_path, MESH.identity(grpc_endpoint=server.endpoint)) as node:
        until(lambda: "pull_policy" in twin.calls)
        twin.publish(bundle(MESH, 1))
        until(lambda: node.applied == [1], seconds=10)


def test_a_refused_policy_is_told_to_the_centre_with_its_reason(
    tmp_path: Path, server: GrpcControl, twin: ControlTwin
) -> None:
    twin.publish(bundle(MESH, 1))
    with running(tmp_path, MESH.identity(grpc_endpoint=server.endpoint)) as node:
        until(lambda: node.applied == [1])
        node.refuse.add(2)
        twin.publish(bundle(MESH, 2))
        until(lambda: any(s.policy.attempt_state == ATTEMPT_STATE_REJECTED for s in twin.statuses))
        told = next(s.policy for s in twin.statuses if s.policy.attempt_state == ATTEMPT_STATE_REJECTED)
        assert (told.active.version, told.attempt.version) == (1, 2)
        assert "line 3, column 1" in told.error
        stored = node.policies.load()
        assert stored is not None
        assert stored.bundle.version.version == 1


def test_a_server_that_restarts_in_the_middle_gets_every_event_once(tmp_path: Path) -> None:
    twin = ControlTwin(MESH)
    server = GrpcControl(twin)
    port = server.port
    with running(tmp_path, MESH.identity(grpc_endpoint=server.endpoint)) as node:
        for round_number in range(3):
            node.outbox.add(300)
            until(lambda: not node.outbox.waiting())
            server.stop()
            node.outbox.add(300)
            until(lambda: "control-plane-unreachable" in node.codes())
            if round_number == 0:
                assert node.outbox.notes["link.state"] == "down"
                assert "Connection refused" in node.outbox.notes["link.error"]
            server = GrpcControl(twin, port=port)
            until(lambda: not node.outbox.waiting(), seconds=40)
        until(lambda: "control-plane-unreachable" not in node.codes())
        assert node.outbox.notes["link.state"] == "up"
    server.stop()
    assert twin.sequences("node-1", 7) == list(range(1, 1801))
    assert twin.applied == 1800


def test_a_server_restored_from_a_backup_gets_again_all_that_it_lost(
    tmp_path: Path, server: GrpcControl, twin: ControlTwin
) -> None:
    with running(tmp_path, MESH.identity(grpc_endpoint=server.endpoint)) as node:
        node.outbox.add(10)
        until(lambda: not node.outbox.waiting())
        twin.take_at_most = 5
        twin.restore("node-1", 7, 4)
        node.outbox.add(20)
        until(lambda: not node.outbox.waiting())
        assert twin.sequences("node-1", 7) == list(range(1, 31))


def test_a_node_starts_and_stops_without_any_network(tmp_path: Path) -> None:
    with running(tmp_path, MESH.identity(grpc_endpoint="127.0.0.1:1")) as node:
        node.outbox.add(5)
        until(lambda: "control-plane-unreachable" in node.codes())
        assert node.outbox.waiting() == [1, 2, 3, 4, 5]


def test_stop_does_not_wait_for_a_long_poll(tmp_path: Path, server: GrpcControl, twin: ControlTwin) -> None:
    with running(tmp_path, MESH.identity(grpc_endpoint=server.endpoint)):
        until(lambda: "pull_policy" in twin.calls)


def test_an_event_that_the_centre_cannot_read_does_not_hold_the_others_up(
    tmp_path: Path, server: GrpcControl, twin: ControlTwin
) -> None:
    twin.invalid_sequences = {42}
    with running(tmp_path, MESH.identity(grpc_endpoint=server.endpoint)) as node:
        node.outbox.add(100)
        until(lambda: not node.outbox.waiting())
        assert set(node.outbox.aside) == {42}
        assert node.codes() == {"events-set-aside"}
        until(lambda: any(c.code == "events-set-aside" for s in twin.statuses for c in s.conditions))


def test_clones_are_told_as_a_condition(tmp_path: Path, server: GrpcControl, twin: ControlTwin) -> None:
    identity = MESH.identity(grpc_endpoint=server.endpoint)
    with running(tmp_path / "box", identity) as box:
        until(lambda: twin.statuses)
        with running(tmp_path / "copy", identity) as copy:
            until(lambda: len(twin.statuses) >= 2)
            box.outbox.add(1)
            until(lambda: not box.outbox.waiting())
            copy.link._loops["status"]._duty._told = None  # type: ignore[attr-defined]
            copy.link._wake("status")
            until(lambda: "identity-in-use-twice" in copy.codes())


def test_a_certificate_is_renewed_and_the_old_one_stays_until_the_new_one_is_proven(
    tmp_path: Path, server: GrpcControl, twin: ControlTwin
) -> None:
    issued = MESH.client(begins=timedelta(days=-11))
    identity = MESH.identity(grpc_endpoint=server.endpoint, issued=issued)
    with running(tmp_path, identity) as node:
        until(lambda: (load_identity(tmp_path) or identity) != identity)
        renewed = load_identity(tmp_path)
        assert renewed is not None
        assert renewed.key_pem != identity.key_pem
        assert renewed.valid_until > identity.valid_until
        node.outbox.add(3)
        until(lambda: not node.outbox.waiting())
        assert twin.calls.count("renew") == 1


def test_a_new_certificate_that_does_not_work_leaves_the_old_one_in_use(
    tmp_path: Path, server: GrpcControl, twin: ControlTwin
) -> None:
    twin.renewals_valid = False
    issued = MESH.client(begins=timedelta(days=-11))
    identity = MESH.identity(grpc_endpoint=server.endpoint, issued=issued)
    with running(tmp_path, identity) as node:
        until(lambda: "renewal-failed" in node.codes())
        assert load_identity(tmp_path) == identity
        assert len(list(tmp_path.glob("identity.*"))) == 1
        node.outbox.add(3)
        until(lambda: not node.outbox.waiting())
        assert twin.calls.count("renew") == 1


def test_a_busy_centre_is_given_the_time_it_asked_for(tmp_path: Path, server: GrpcControl, twin: ControlTwin) -> None:
    with running(tmp_path, MESH.identity(grpc_endpoint=server.endpoint)) as node:
        until(lambda: twin.statuses)
        twin.fail_next.append(UplinkUnreachable("too many batches", retry_after=1.0))
        began = time.monotonic()
        node.outbox.add(1)
        until(lambda: not node.outbox.waiting())
        assert time.monotonic() - began >= 1.0
