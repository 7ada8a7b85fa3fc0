"""What every uplink must do: one suite over the in-memory twin and over real gRPC with mutual TLS."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from edge.errors import UplinkInvalid, UplinkRefused, UplinkUnreachable
from edge.sync.grpc_uplink import GrpcUplink
from edge.sync.identity import new_key
from edge.sync.uplink import Uplink
from mesh.v1.sync_pb2 import (
    ATTEMPT_STATE_REJECTED,
    Event,
    PolicyStatus,
    PullPolicyRequest,
    PushBatchRequest,
    ReportStatusRequest,
)
from tests.certificates import MeshAuthority
from tests.control_twin import ControlTwin, GrpcControl, InMemoryUplink
from tests.signed_policies import bundle


@dataclass
class Side:
    """An uplink and the control plane behind it."""

    uplink: Uplink
    twin: ControlTwin
    mesh: MeshAuthority


@pytest.fixture(params=["memory", "grpc"])
def side(request: pytest.FixtureRequest) -> Iterator[Side]:
    mesh = MeshAuthority()
    twin = ControlTwin(mesh)
    if request.param == "memory":
        uplink: Uplink = InMemoryUplink(twin)
        yield Side(uplink, twin, mesh)
        uplink.close()
        return
    server = GrpcControl(twin)
    uplink = GrpcUplink(mesh.identity(grpc_endpoint=server.endpoint))
    yield Side(uplink, twin, mesh)
    uplink.close()
    server.stop()


def batch(*sequences: int, epoch: int = 7, boot_id: str = "boot-1") -> PushBatchRequest:
    return PushBatchRequest(epoch=epoch, boot_id=boot_id, events=[Event(sequence=number) for number in sequences])


def test_a_batch_is_acknowledged_up_to_its_last_event(side: Side) -> None:
    assert side.uplink.push(batch(1, 2, 3)).ack_sequence == 3
    assert side.twin.sequences("node-1", 7) == [1, 2, 3]


def test_a_repeated_batch_takes_effect_once(side: Side) -> None:
    side.uplink.push(batch(1, 2))
    assert side.uplink.push(batch(1, 2, 3)).ack_sequence == 3
    assert side.twin.applied == 3


def test_another_epoch_starts_over(side: Side) -> None:
    side.uplink.push(batch(1, 2, epoch=7))
    assert side.uplink.push(batch(1, epoch=8)).ack_sequence == 1
    assert side.twin.sequences("node-1", 8) == [1]


def test_a_batch_without_events_tells_where_the_centre_is(side: Side) -> None:
    side.uplink.push(batch(1, 2))
    assert side.uplink.push(batch()).ack_sequence == 2


def test_a_batch_that_cannot_be_read_is_told_apart_from_a_broken_road(side: Side) -> None:
    side.twin.invalid_sequences.add(2)
    with pytest.raises(UplinkInvalid, match="event 2"):
        side.uplink.push(batch(1, 2, 3))
    assert side.twin.applied == 0


def test_a_refused_node_is_told_apart_from_a_broken_road(side: Side) -> None:
    side.twin.fail_next.append(UplinkRefused("this node was revoked"))
    with pytest.raises(UplinkRefused, match="revoked"):
        side.uplink.push(batch(1))


def test_a_busy_centre_says_when_to_come_again(side: Side) -> None:
    side.twin.fail_next.append(UplinkUnreachable("too many batches", retry_after=2.5))
    with pytest.raises(UplinkUnreachable, match="too many batches") as caught:
        side.uplink.push(batch(1))
    assert caught.value.retry_after == 2.5


def test_the_policy_comes_when_the_node_has_none(side: Side) -> None:
    policy = bundle(side.mesh, 1)
    side.twin.publish(policy)
    assert side.uplink.pull_policy(PullPolicyRequest()) == policy


def test_no_policy_comes_when_the_node_has_it(side: Side) -> None:
    policy = bundle(side.mesh, 1)
    side.twin.publish(policy)
    request = PullPolicyRequest(have=policy.version, have_sha256=policy.sha256)
    assert side.uplink.pull_policy(request) is None


def test_a_long_poll_answers_as_soon_as_a_policy_is_published(side: Side) -> None:
    policy = bundle(side.mesh, 2)
    threading.Timer(0.3, side.twin.publish, [policy]).start()
    began = time.monotonic()
    assert side.uplink.pull_policy(PullPolicyRequest(wait_seconds=20)) == policy
    assert time.monotonic() - began < 10


def test_a_long_poll_without_news_ends_without_a_policy(side: Side) -> None:
    assert side.uplink.pull_policy(PullPolicyRequest(wait_seconds=1)) is None


def test_a_policy_that_was_refused_is_not_offered_again(side: Side) -> None:
    policy = bundle(side.mesh, 3)
    side.twin.publish(policy)
    refusal = PolicyStatus(attempt=policy.version, attempt_state=ATTEMPT_STATE_REJECTED, error="line 3")
    side.uplink.report_status(ReportStatusRequest(boot_id="boot-1", policy=refusal))
    assert side.uplink.pull_policy(PullPolicyRequest()) is None
    better = bundle(side.mesh, 4)
    side.twin.publish(better)
    assert side.uplink.pull_policy(PullPolicyRequest()) == better


def test_a_status_report_is_answered_with_the_centres_clock(side: Side) -> None:
    answer = side.uplink.report_status(ReportStatusRequest(boot_id="boot-1"))
    assert answer.HasField("server_time")
    assert not answer.clone_suspected


def test_two_processes_that_take_turns_are_suspected_to_be_clones(side: Side) -> None:
    for boot_id in ("boot-1", "boot-2"):
        assert not side.uplink.report_status(ReportStatusRequest(boot_id=boot_id)).clone_suspected
    assert side.uplink.report_status(ReportStatusRequest(boot_id="boot-1")).clone_suspected


def test_a_renewal_brings_a_certificate_for_the_new_key(side: Side) -> None:
    _, csr_pem = new_key()
    answer = side.uplink.renew(csr_pem)
    assert answer.certificate_pem.startswith(b"-----BEGIN CERTIFICATE-----")
    assert answer.ca_pem == side.mesh.ca_pem


def test_a_closed_uplink_says_so(side: Side) -> None:
    side.uplink.close()
    with pytest.raises(UplinkUnreachable):
        side.uplink.push(batch(1))
