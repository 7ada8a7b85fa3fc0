"""The gRPC door of the nodes: EdgeSync and Identity. Thin: who speaks, what was said, which status an error has."""

from __future__ import annotations

import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import grpc
import structlog
from google.protobuf.timestamp_pb2 import Timestamp

from control import errors, metrics
from control.clock import Clock
from control.db.outage import DATABASE_OUTAGES
from control.enrolment.service import EnrolmentService
from control.enrolment.wire import renewal_message
from control.figures.service import FigureService
from control.node_commands.service import CommandService
from control.node_commands.wire import command_message, read_word
from control.nodes.reports import NodeCaller
from control.nodes.service import NodeService
from control.policies.service import PolicyService
from control.policies.wire import bundle_message
from control.sync.callers import certified_name
from control.sync.in_flight import InFlight
from control.sync.report_lane import ReportLane
from control.sync.reports import read_figures, read_report
from mesh.v1 import enrolment_pb2, enrolment_pb2_grpc, sync_pb2, sync_pb2_grpc

log = structlog.get_logger(__name__)

MAX_WAIT_SECONDS = 55.0

CALLS_OF_A_NODE = 16
"""It makes four at once; the rest is for calls whose connection is gone and that nobody has missed yet."""

CALLS_OF_ALL = 16_000
"""Calls under way that wait for something; one more is told to come again. A thousand nodes have two or three each."""

COME_AGAIN_MILLISECONDS = (1_000, 5_000)

STATUSES: Mapping[type[errors.ControlError], grpc.StatusCode] = {
    errors.NotFound: grpc.StatusCode.NOT_FOUND,
    errors.Conflict: grpc.StatusCode.FAILED_PRECONDITION,
    errors.Invalid: grpc.StatusCode.INVALID_ARGUMENT,
    errors.Refused: grpc.StatusCode.PERMISSION_DENIED,
    errors.UnknownNode: grpc.StatusCode.PERMISSION_DENIED,
    errors.Busy: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.DatabaseAway: grpc.StatusCode.UNAVAILABLE,
}
"""The nearest class in an error's ancestry decides; any other is INTERNAL."""

Context = grpc.aio.ServicerContext[Any, Any]

PushBatch = Callable[[NodeCaller, sync_pb2.PushBatchRequest], Awaitable[sync_pb2.PushBatchResponse]]
"""Takes a batch of events: committed when it returns. Raises errors of `control.errors`."""


class Door:
    """Lets known nodes in and turns errors of ours into statuses."""

    def __init__(self, nodes: NodeService, mesh: str) -> None:
        self._nodes = nodes
        self._mesh = mesh
        self._calls = InFlight(CALLS_OF_A_NODE, in_all=CALLS_OF_ALL)
        self._pushes = InFlight(1)

    async def caller(self, context: Context) -> NodeCaller:
        """Who speaks: asked on every call, because TLS looks at a certificate only when a connection begins.

        Raises:
            NodeRevoked, UnknownNode
        """
        name = certified_name(context.auth_context(), self._mesh)
        if name is None:
            raise errors.UnknownNode("The certificate names no node of this mesh.")
        return await self._nodes.recognise(name.node_id, name.site)

    @contextlib.asynccontextmanager
    async def answering(self, context: Context, call: str) -> AsyncIterator[NodeCaller]:
        """Hand out the caller; what the block raises ends the call with a status, and is counted."""
        try:
            caller = await self.caller(context)
            with self._calls.entered(caller.node_id):
                yield caller
        except errors.ControlError as error:
            metrics.CALLS.labels(call, error.code).inc()
            log.warning("rpc.refused", call=call, code=error.code)
            words = f"{error.code}: {error} {error.hint}".strip()
            await context.abort(status_of(error), words, come_again() if isinstance(error, errors.Busy) else ())
        except DATABASE_OUTAGES as error:
            metrics.CALLS.labels(call, "outage").inc()
            log.warning("rpc.database_outage", call=call, error=type(error).__name__)
            words = "BUSY: The control plane's database does not answer."
            await context.abort(grpc.StatusCode.UNAVAILABLE, words, come_again())
        except Exception as error:
            metrics.CALLS.labels(call, "failed").inc()
            # Only the kind: a database error repeats the rows, and those are patients' data.
            log.error("rpc.failed", call=call, error=type(error).__name__)
            await context.abort(grpc.StatusCode.INTERNAL, "The control plane failed. Its log says why.")
        metrics.CALLS.labels(call, "answered").inc()

    def pushing(self, caller: NodeCaller) -> contextlib.AbstractContextManager[None]:
        """One push of a node at a time: a second one could only wait for the first, in memory.

        Raises:
            Busy
        """
        return self._pushes.entered(caller.node_id)


def come_again() -> tuple[tuple[str, str], ...]:
    """When to ask again, another time for everybody: those who are sent away together must not come back together."""
    return (("retry-after-ms", str(random.randint(*COME_AGAIN_MILLISECONDS))),)  # noqa: S311 - hides nothing


def status_of(error: errors.ControlError) -> grpc.StatusCode:
    """The status of an error."""
    return next((STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES), grpc.StatusCode.INTERNAL)


class EdgeSyncServicer(sync_pb2_grpc.EdgeSyncServicer):
    """Events up, policies down, status."""

    def __init__(
        self,
        door: Door,
        reports: ReportLane,
        policies: PolicyService,
        push_batch: PushBatch,
        commands: CommandService,
        figures: FigureService,
        clock: Clock,
    ) -> None:
        self._door = door
        self._reports = reports
        self._policies = policies
        self._push_batch = push_batch
        self._commands = commands
        self._figures = figures
        self._clock = clock

    async def PushBatch(  # noqa: N802 - the name in the .proto
        self,
        request: sync_pb2.PushBatchRequest,
        context: grpc.aio.ServicerContext[sync_pb2.PushBatchRequest, sync_pb2.PushBatchResponse],
    ) -> sync_pb2.PushBatchResponse:
        """Commit a batch of events."""
        async with self._door.answering(context, "PushBatch") as caller:
            with self._door.pushing(caller):
                response = await self._push_batch(caller, request)
        return response

    async def PullPolicy(  # noqa: N802
        self,
        request: sync_pb2.PullPolicyRequest,
        context: grpc.aio.ServicerContext[sync_pb2.PullPolicyRequest, sync_pb2.PullPolicyResponse],
    ) -> sync_pb2.PullPolicyResponse:
        """Hand out the site's policy, or wait for one."""
        async with self._door.answering(context, "PullPolicy") as caller:
            have = (request.have.generation, request.have.version)
            wait = min(float(request.wait_seconds), MAX_WAIT_SECONDS)
            bundle = await self._policies.pull(caller, have=have, have_sha256=request.have_sha256, wait_seconds=wait)
            if wait:
                await self._door.caller(context)  # it may have been revoked while it waited
        return sync_pb2.PullPolicyResponse(policy=bundle_message(bundle) if bundle is not None else None)

    async def ReportStatus(  # noqa: N802
        self,
        request: sync_pb2.ReportStatusRequest,
        context: grpc.aio.ServicerContext[sync_pb2.ReportStatusRequest, sync_pb2.ReportStatusResponse],
    ) -> sync_pb2.ReportStatusResponse:
        """Keep what a node says of itself."""
        async with self._door.answering(context, "ReportStatus") as caller:
            cloned = await self._reports.keep(caller, read_report(request))
            self._figures.hear(caller, read_figures(request))
        now = Timestamp()
        now.FromDatetime(self._clock())
        return sync_pb2.ReportStatusResponse(
            server_time=now, clone_suspected=cloned, commands_waiting=int(self._commands.waits_for(caller))
        )

    async def PullCommands(  # noqa: N802
        self,
        _request: sync_pb2.PullCommandsRequest,
        context: grpc.aio.ServicerContext[sync_pb2.PullCommandsRequest, sync_pb2.PullCommandsResponse],
    ) -> sync_pb2.PullCommandsResponse:
        """Hand out what people ask of the node."""
        async with self._door.answering(context, "PullCommands") as caller:
            found = await self._commands.hand_out(caller)
        now = self._clock()
        return sync_pb2.PullCommandsResponse(commands=[command_message(one, now) for one in found])

    async def ReportCommand(  # noqa: N802
        self,
        request: sync_pb2.ReportCommandRequest,
        context: grpc.aio.ServicerContext[sync_pb2.ReportCommandRequest, sync_pb2.ReportCommandResponse],
    ) -> sync_pb2.ReportCommandResponse:
        """Keep how a command went."""
        async with self._door.answering(context, "ReportCommand") as caller:
            word = read_word(request.state)
            await self._commands.hear(caller, request.command_id, word, text=request.text, result=request.result)
        return sync_pb2.ReportCommandResponse()


class IdentityServicer(enrolment_pb2_grpc.IdentityServicer):
    """Fresh certificates for nodes that still have a good one."""

    def __init__(self, door: Door, enrolment: EnrolmentService) -> None:
        self._door = door
        self._enrolment = enrolment

    async def Renew(  # noqa: N802
        self,
        request: enrolment_pb2.RenewRequest,
        context: grpc.aio.ServicerContext[enrolment_pb2.RenewRequest, enrolment_pb2.RenewResponse],
    ) -> enrolment_pb2.RenewResponse:
        """Sign the key in the request for the calling node."""
        async with self._door.answering(context, "Renew") as caller:
            renewed = await self._enrolment.renew(caller, request.csr_pem)
        return renewal_message(renewed)
