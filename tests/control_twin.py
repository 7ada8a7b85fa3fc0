"""A control plane in memory: what an edge may rely on, without a network. And the same behind a real gRPC server."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import grpc

from edge.errors import UplinkError, UplinkInvalid, UplinkRefused, UplinkUnreachable
from mesh.v1 import enrolment_pb2_grpc, sync_pb2_grpc
from mesh.v1.common_pb2 import PolicyBundle
from mesh.v1.enrolment_pb2 import RenewRequest, RenewResponse
from mesh.v1.sync_pb2 import (
    ATTEMPT_STATE_REJECTED,
    COMMAND_STATE_ACCEPTED,
    Command,
    Event,
    PullCommandsRequest,
    PullCommandsResponse,
    PullPolicyRequest,
    PullPolicyResponse,
    PushBatchRequest,
    PushBatchResponse,
    ReportCommandRequest,
    ReportCommandResponse,
    ReportStatusRequest,
    ReportStatusResponse,
)
from tests.certificates import Issued, MeshAuthority

CODES: dict[type[UplinkError], grpc.StatusCode] = {
    UplinkUnreachable: grpc.StatusCode.RESOURCE_EXHAUSTED,
    UplinkInvalid: grpc.StatusCode.INVALID_ARGUMENT,
    UplinkRefused: grpc.StatusCode.PERMISSION_DENIED,
}


@dataclass
class _Node:
    events: dict[int, dict[int, Event]] = field(default_factory=dict)
    ack: dict[int, int] = field(default_factory=dict)
    boots: list[str] = field(default_factory=list)
    nacked: tuple[int, int] | None = None

    def hear(self, boot_id: str) -> None:
        """A restart gives A, then B; two boxes with one identity give A, B, A."""
        if not self.boots or self.boots[-1] != boot_id:
            self.boots.append(boot_id)


class ControlTwin:
    """Exactly once in effect by (node, epoch, sequence), cumulative ack, long poll, memory of refusals."""

    def __init__(self, mesh: MeshAuthority) -> None:
        self.mesh = mesh
        self.calls: list[str] = []
        self.batch_sizes: list[int] = []
        self.statuses: list[ReportStatusRequest] = []
        self.applied = 0
        """Events that took effect, over all nodes."""
        self.invalid_sequences: set[int] = set()
        self.invalid_always = False
        self.take_at_most: int | None = None
        """Commit only so many events of a batch."""
        self.fail_next: list[UplinkError] = []
        self.renewals_valid = True
        self.commands: list[Command] = []
        self.command_reports: list[ReportCommandRequest] = []
        self._nodes: dict[str, _Node] = {}
        self._policy: PolicyBundle | None = None
        self._changed = threading.Condition()
        self._open = True

    def publish(self, policy: PolicyBundle | None) -> None:
        """The site's policy from now on; wakes every long poll."""
        with self._changed:
            self._policy = policy
            self._changed.notify_all()

    def restore(self, node_id: str, epoch: int, ack: int) -> None:
        """As after a restore from a backup: what came after `ack` is gone."""
        with self._changed:
            node = self._nodes[node_id]
            node.ack[epoch] = ack
            kept = {number: event for number, event in node.events[epoch].items() if number <= ack}
            node.events[epoch] = kept

    def sequences(self, node_id: str, epoch: int) -> list[int]:
        """What took effect of one node and epoch, in order."""
        with self._changed:
            return sorted(self._nodes.get(node_id, _Node()).events.get(epoch, {}))

    def close(self) -> None:
        """End the long polls."""
        with self._changed:
            self._open = False
            self._changed.notify_all()

    def open(self) -> None:
        """Take calls again after `close`."""
        with self._changed:
            self._open = True

    # the calls

    def push(self, node_id: str, request: PushBatchRequest) -> PushBatchResponse:
        """All of the batch, or as much as `take_at_most` allows, once each."""
        self._enter("push")
        with self._changed:
            self.batch_sizes.append(len(request.events))
            bad = [event.sequence for event in request.events if event.sequence in self.invalid_sequences]
            if bad or self.invalid_always:
                raise UplinkInvalid(f"event {bad[0] if bad else 0}: it cannot be understood")
            node = self._nodes.setdefault(node_id, _Node())
            node.hear(request.boot_id)
            ack = node.ack.setdefault(request.epoch, 0)
            held = node.events.setdefault(request.epoch, {})
            taken = () if request.acknowledged > ack else request.events[: self.take_at_most]
            for event in taken:
                if event.sequence > ack:
                    held[event.sequence] = event
                    ack = event.sequence
                    self.applied += 1
            node.ack[request.epoch] = ack
            return PushBatchResponse(ack_sequence=ack)

    def pull_policy(self, node_id: str, request: PullPolicyRequest) -> PolicyBundle | None:
        """The policy when it differs from what the node has and was not refused there, now or within the wait."""
        self._enter("pull_policy")
        with self._changed:
            self._changed.wait_for(
                lambda: self._news(node_id, request) is not None or not self._open, timeout=request.wait_seconds
            )
            return self._news(node_id, request)

    def report_status(self, node_id: str, request: ReportStatusRequest) -> ReportStatusResponse:
        """Remembers a refused policy; suspects a clone when an earlier boot id speaks again."""
        self._enter("report_status")
        with self._changed:
            self.statuses.append(request)
            node = self._nodes.setdefault(node_id, _Node())
            if request.policy.attempt_state == ATTEMPT_STATE_REJECTED:
                node.nacked = (request.policy.attempt.generation, request.policy.attempt.version)
            node.hear(request.boot_id)
            answer = ReportStatusResponse(clone_suspected=len(node.boots) > len(set(node.boots)))
            answer.commands_waiting = len(self.commands)
            answer.server_time.GetCurrentTime()
            self._changed.notify_all()
            return answer

    def pull_commands(self, _node_id: str) -> Sequence[Command]:
        """Those whose end was not reported."""
        self._enter("pull_commands")
        with self._changed:
            ended = {one.command_id for one in self.command_reports if one.state > COMMAND_STATE_ACCEPTED}
            return [one for one in self.commands if one.command_id not in ended]

    def report_command(self, _node_id: str, request: ReportCommandRequest) -> None:
        """Kept as it was said."""
        self._enter("report_command")
        with self._changed:
            self.command_reports.append(request)

    def renew(self, node_id: str, request: RenewRequest) -> RenewResponse:
        """A certificate for the key of the request; of another mesh when `renewals_valid` is off."""
        self._enter("renew")
        signer = self.mesh if self.renewals_valid else MeshAuthority("another mesh")
        return RenewResponse(
            certificate_pem=signer.sign_request(request.csr_pem, node_id=node_id), ca_pem=self.mesh.ca_pem
        )

    def _enter(self, call: str) -> None:
        with self._changed:
            self.calls.append(call)
            if not self._open:
                raise UplinkUnreachable("the control plane is closed")
            if self.fail_next:
                raise self.fail_next.pop(0)

    def _news(self, node_id: str, request: PullPolicyRequest) -> PolicyBundle | None:
        policy = self._policy
        if policy is None or policy.sha256 == request.have_sha256:
            return None
        nacked = self._nodes.get(node_id, _Node()).nacked
        return None if nacked == (policy.version.generation, policy.version.version) else policy


class InMemoryUplink:
    """An Uplink that calls the twin directly, through the same bytes that would travel."""

    def __init__(self, twin: ControlTwin, node_id: str = "node-1") -> None:
        self._twin = twin
        self._node_id = node_id
        self._closed = False

    def push(self, request: PushBatchRequest) -> PushBatchResponse:
        self._check()
        return self._twin.push(self._node_id, PushBatchRequest.FromString(request.SerializeToString()))

    def pull_policy(self, request: PullPolicyRequest) -> PolicyBundle | None:
        self._check()
        return self._twin.pull_policy(self._node_id, request)

    def report_status(self, request: ReportStatusRequest) -> ReportStatusResponse:
        self._check()
        return self._twin.report_status(self._node_id, request)

    def pull_commands(self) -> Sequence[Command]:
        self._check()
        return self._twin.pull_commands(self._node_id)

    def report_command(self, request: ReportCommandRequest) -> None:
        self._check()
        self._twin.report_command(self._node_id, request)

    def renew(self, csr_pem: bytes) -> RenewResponse:
        self._check()
        return self._twin.renew(self._node_id, RenewRequest(csr_pem=csr_pem))

    def close(self) -> None:
        self._closed = True

    def _check(self) -> None:
        if self._closed:
            raise UplinkUnreachable("closed")


class _Servicer(sync_pb2_grpc.EdgeSyncServicer, enrolment_pb2_grpc.IdentityServicer):
    """The twin's calls over gRPC; the caller is known by its certificate."""

    def __init__(self, twin: ControlTwin) -> None:
        self._twin = twin

    def PushBatch(self, request: PushBatchRequest, context: grpc.ServicerContext) -> PushBatchResponse:  # noqa: N802
        with _as_status(context):
            return self._twin.push(_caller(context), request)

    def PullPolicy(self, request: PullPolicyRequest, context: grpc.ServicerContext) -> PullPolicyResponse:  # noqa: N802
        with _as_status(context):
            return PullPolicyResponse(policy=self._twin.pull_policy(_caller(context), request))

    def ReportStatus(  # noqa: N802
        self, request: ReportStatusRequest, context: grpc.ServicerContext
    ) -> ReportStatusResponse:
        with _as_status(context):
            return self._twin.report_status(_caller(context), request)

    def PullCommands(  # noqa: N802
        self, _request: PullCommandsRequest, context: grpc.ServicerContext
    ) -> PullCommandsResponse:
        with _as_status(context):
            return PullCommandsResponse(commands=self._twin.pull_commands(_caller(context)))

    def ReportCommand(  # noqa: N802
        self, request: ReportCommandRequest, context: grpc.ServicerContext
    ) -> ReportCommandResponse:
        with _as_status(context):
            self._twin.report_command(_caller(context), request)
            return ReportCommandResponse()

    def Renew(self, request: RenewRequest, context: grpc.ServicerContext) -> RenewResponse:  # noqa: N802
        with _as_status(context):
            return self._twin.renew(_caller(context), request)


@contextmanager
def _as_status(context: grpc.ServicerContext) -> Iterator[None]:
    try:
        yield
    except UplinkError as error:
        if isinstance(error, UplinkUnreachable) and error.retry_after:
            context.set_trailing_metadata((("retry-after-ms", str(int(error.retry_after * 1000))),))
        context.abort(CODES[type(error)], str(error))


def _caller(context: grpc.ServicerContext) -> str:
    name = bytes(next(iter(context.auth_context()["peer_spiffe_id"])))
    return name.decode().rpartition("/")[2]


class GrpcControl:
    """The twin behind a real gRPC server on 127.0.0.1 that requires a client certificate of the mesh."""

    def __init__(self, twin: ControlTwin, *, certificate: Issued | None = None, port: int = 0) -> None:
        self._twin = twin
        twin.open()
        issued = certificate or twin.mesh.server()
        self._pool = ThreadPoolExecutor(16)
        self._server = grpc.server(
            self._pool,
            options=(
                ("grpc.so_reuseport", 0),
                ("grpc.http2.min_ping_interval_without_data_ms", 30_000),
                ("grpc.keepalive_permit_without_calls", 1),
            ),
        )
        servicer = _Servicer(twin)
        sync_pb2_grpc.add_EdgeSyncServicer_to_server(servicer, self._server)
        enrolment_pb2_grpc.add_IdentityServicer_to_server(servicer, self._server)
        credentials = grpc.ssl_server_credentials(
            [(issued.key_pem, issued.certificate_pem)],
            root_certificates=twin.mesh.ca_pem,
            require_client_auth=True,
        )
        self.port = self._server.add_secure_port(f"127.0.0.1:{port}", credentials)
        self._server.start()

    @property
    def endpoint(self) -> str:
        """HOST:PORT."""
        return f"127.0.0.1:{self.port}"

    def stop(self) -> None:
        """Gone at once, as in a crash."""
        self._twin.close()
        self._server.stop(grace=0).wait(5)
        self._pool.shutdown(wait=True)
