"""One simulated edge: the calls of a real one, in their order and with their pauses, and no images."""

from __future__ import annotations

import asyncio
import hashlib
import random
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

import grpc

from mesh.v1.common_pb2 import PolicyBundle, PolicyVersion
from mesh.v1.sync_pb2 import (
    ATTEMPT_STATE_APPLIED,
    PolicyStatus,
    PullPolicyRequest,
    PushBatchRequest,
    ReportStatusRequest,
)
from mesh.v1.sync_pb2_grpc import EdgeSyncStub
from provisioning.fleet.events import events
from provisioning.fleet.faults import Fault, Plan
from provisioning.fleet.identities import Identity
from provisioning.fleet.ledger import Ledger, Version

if TYPE_CHECKING:
    from mesh.v1.sync_pb2_grpc import EdgeSyncAsyncStub

_Answer = TypeVar("_Answer")
WAIT_SECONDS = 55
STATUS_SECONDS = 60.0
DEADLINE_SECONDS = 30.0
LATE_SECONDS = 1.0
_OPTIONS = (
    ("grpc.use_local_subchannel_pool", 1),  # a connection of its own for each box
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.initial_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 20_000),
)


class Box:
    """Pulls policy, reports, and pushes `events_per_second`, with the faults that the plan gives it."""

    def __init__(
        self, number: int, identity: Identity, ledger: Ledger, plan: Plan, *, events_per_second: float, batch: int
    ) -> None:
        self.identity = identity
        self.faults = plan.of(number)
        self._number, self._ledger, self._plan = number, ledger, plan
        self._rate, self._batch = events_per_second, batch
        self._boot_id, self._epoch = uuid.uuid4().hex, random.getrandbits(63)
        self._version: Version = (0, 0)
        self._sha256 = b""
        self._policy_new = asyncio.Event()
        self.nudged = asyncio.Event()
        """Set by the broker: there may be something new."""

    async def run(self) -> None:
        """Live until cancelled; connections that end are made again, as a real edge does."""
        cuts = self._plan.cuts(self._number) if Fault.CUT in self.faults else None
        while True:
            after, lasts = next(cuts) if cuts is not None else (None, 0.0)
            with suppress(TimeoutError):
                async with self._connected() as stub, asyncio.timeout(after):
                    await self._live(stub)
            await asyncio.sleep(lasts)  # nobody hears of it until its connection is back

    async def _live(self, stub: EdgeSyncAsyncStub) -> None:
        duties = (self._pull, self._look, self._report, self._push)
        tasks = [asyncio.ensure_future(duty(stub)) for duty in duties]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[EdgeSyncAsyncStub]:
        credentials = grpc.ssl_channel_credentials(
            root_certificates=self.identity.ca_pem.encode(),
            private_key=self.identity.key_pem.encode(),
            certificate_chain=self.identity.certificate_pem.encode(),
        )
        async with grpc.aio.secure_channel(self.identity.grpc_endpoint, credentials, options=_OPTIONS) as channel:
            yield EdgeSyncStub(channel)

    async def _pull(self, stub: EdgeSyncAsyncStub) -> None:
        while True:
            if not await self._ask(stub, wait_seconds=WAIT_SECONDS):
                await asyncio.sleep(random.uniform(0.2, 2.0))

    async def _look(self, stub: EdgeSyncAsyncStub) -> None:
        """After each nudge, beside the long poll: that may wait on another replica."""
        while True:
            await self.nudged.wait()
            self.nudged.clear()
            await self._ask(stub, wait_seconds=0)

    async def _ask(self, stub: EdgeSyncAsyncStub, *, wait_seconds: int) -> bool:
        request = PullPolicyRequest(
            have=PolicyVersion(generation=self._version[0], version=self._version[1]),
            have_sha256=self._sha256,
            wait_seconds=wait_seconds,
        )
        answer = await self.call("PullPolicy", stub.PullPolicy, request, wait_seconds)
        if answer is not None and answer.HasField("policy"):
            self._apply(answer.policy)
        return answer is not None

    def _apply(self, bundle: PolicyBundle) -> None:
        version = (bundle.version.generation, bundle.version.version)
        if version <= self._version:  # the long poll and the nudge brought the same
            return
        self._version = version
        self._sha256 = hashlib.sha256(bundle.document).digest()
        self._ledger.apply(self.identity.node_id, self._version)
        self._policy_new.set()

    async def _report(self, stub: EdgeSyncAsyncStub) -> None:
        turn = 0
        while True:
            turn += 1
            self._policy_new.clear()
            answer = await self.call("ReportStatus", stub.ReportStatus, self._status(turn), 0)
            if answer is not None:
                self._ledger.spoke.add(self.identity.node_id)
            pause = STATUS_SECONDS if answer is not None else random.uniform(0.5, 3.0)
            if Fault.CLONE in self.faults:
                pause = min(pause, 5.0)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._policy_new.wait(), pause * random.uniform(0.9, 1.1))

    def _status(self, turn: int) -> ReportStatusRequest:
        version = PolicyVersion(generation=self._version[0], version=self._version[1])
        other = Fault.CLONE in self.faults and turn % 2 == 0
        request = ReportStatusRequest(
            boot_id=self._boot_id[::-1] if other else self._boot_id,
            epoch=self._epoch,
            software_version="0.0.9" if Fault.OLD in self.faults else "0.1.0",
            policy=PolicyStatus(active=version, active_sha256=self._sha256),
        )
        if Fault.OLD not in self.faults:
            request.policy.attempt.CopyFrom(version)
            request.policy.attempt_state = ATTEMPT_STATE_APPLIED
            request.spool_total_bytes, request.spool_free_bytes = 1 << 40, 1 << 39
            request.dicom_endpoint = "10.0.0.1:11112"
        request.node_time.GetCurrentTime()
        if Fault.SKEW in self.faults:
            request.node_time.seconds += 3600
        return request

    async def _push(self, stub: EdgeSyncAsyncStub) -> None:
        if not self._rate:
            await asyncio.Event().wait()
        told = events(self._number)
        while True:
            batch = list(islice(told, self._batch))
            request = PushBatchRequest(epoch=self._epoch, events=batch, boot_id=self._boot_id)
            if Fault.CRASH in self.faults and random.random() < 0.2:
                died = asyncio.ensure_future(self.call("PushBatch", stub.PushBatch, request, 0))
                await asyncio.sleep(random.uniform(0, 0.05))
                died.cancel()
            answer = None
            while answer is None:
                answer = await self.call("PushBatch", stub.PushBatch, request, 0)
                if answer is None:
                    await asyncio.sleep(random.uniform(0.5, 3.0))
            self._ledger.acknowledged += len([one for one in batch if one.sequence <= answer.ack_sequence])
            await asyncio.sleep(len(batch) / self._rate * random.uniform(0.8, 1.2))

    async def call(
        self, name: str, call: Callable[..., Awaitable[_Answer]], request: object, wait: float
    ) -> _Answer | None:
        """The answer; None when there was none. Who is told to come again does that, as often as it is told."""
        while True:
            if Fault.SLOW in self.faults:
                await asyncio.sleep(LATE_SECONDS)
            try:
                return await call(request, timeout=DEADLINE_SECONDS + wait)
            except grpc.aio.AioRpcError as error:
                later = retry_after(error)
                if later is None:
                    self._ledger.fail(name, error.code().name)
                    return None
            self._ledger.told_to_wait += 1
            await asyncio.sleep(later)


def retry_after(error: grpc.aio.AioRpcError) -> float | None:
    """The seconds after which the control plane asks us to come again; None when it said nothing of that."""
    said = str(dict(error.trailing_metadata()).get("retry-after-ms", ""))
    return int(said) / 1000 if said.isdigit() else None
