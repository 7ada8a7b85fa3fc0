"""Keeps the control plane told and the policy current, whenever it can be reached. The site never waits for it."""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from edge.errors import UplinkError
from edge.health import HealthBoard
from edge.sync import conditions
from edge.sync.backoff import Backoff
from edge.sync.conditions import LinkHealth
from edge.sync.duty_loop import Duty, DutyLoop
from edge.sync.events_push import PushEvents
from edge.sync.grpc_uplink import GrpcUplink
from edge.sync.identity import NodeIdentity
from edge.sync.mqtt_nudge import MqttNudge
from edge.sync.outbox import Outbox
from edge.sync.policy_pull import LookForPolicy, PullPolicy
from edge.sync.policy_store import PolicyStore
from edge.sync.reachability import Reachability
from edge.sync.renewal import RenewCertificate
from edge.sync.road import Road
from edge.sync.status_report import ReportStatus
from edge.sync.uplink import Connect, Uplink
from mesh.v1.common_pb2 import PolicyBundle
from mesh.v1.sync_pb2 import PolicyStatus

STOP_SECONDS = 3.0


class Link:
    """A node's link to its control plane: threads of its own, nothing on the data path.

    `policies` is None when a person gave the node a policy of its own: then the link does not pull any. `running` is
    the bundle from the store that the node runs now. `apply_policy` raises PolicyError for a policy that must not run.
    `status` gives the node's fields of ReportStatusRequest by their proto names; the link adds who, when and policy.
    """

    def __init__(
        self,
        *,
        data_dir: Path,
        identity: NodeIdentity,
        outbox: Outbox,
        health: HealthBoard,
        policies: PolicyStore | None,
        running: PolicyBundle | None,
        apply_policy: Callable[[PolicyBundle], None],
        status: Callable[[], Mapping[str, object]],
        software_version: str,
        boot_id: str | None = None,
        connect: Connect = GrpcUplink,
        backoff: Backoff | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._health = LinkHealth(health)
        self._boot_id = boot_id or uuid.uuid4().hex
        self._identity = identity
        self._backoff = backoff or Backoff()
        self._stopping = threading.Event()
        self._reachability = Reachability(
            outbox=outbox, health=self._health, identity=identity, now=now, on_return=self._wake_all
        )
        self._road = Road(connect(identity), on_contact=self._reachability.contact, on_trouble=self._heed_trouble)
        self._nudge: MqttNudge | None = None
        duties: list[Duty] = [PushEvents(outbox=outbox, uplink=self._road, health=self._health, boot_id=self._boot_id)]
        pull = self._pull_duty(policies, running, apply_policy) if policies is not None else None
        self._look = LookForPolicy(pull) if pull is not None else None
        if pull is not None and self._look is not None:
            duties.extend((pull, self._look))
        duties.append(
            ReportStatus(
                uplink=self._road,
                health=self._health,
                status=status,
                policy=pull.state if pull else PolicyStatus,
                boot_id=self._boot_id,
                epoch=lambda: outbox.epoch,
                software_version=software_version,
                now=now,
            )
        )
        duties.append(self._renewal_duty(data_dir, connect, now))
        self._loops = {duty.name: self._loop(duty) for duty in duties}

    def start(self) -> None:
        """Return at once; whatever the network does, it happens in the link's own threads."""
        for loop in self._loops.values():
            loop.start()
        self._start_nudge()

    def stop(self) -> None:
        """End within a few seconds, also in the middle of a long poll."""
        self._stopping.set()
        for loop in self._loops.values():
            loop.stop()
        self._road.close()
        if self._nudge is not None:
            self._nudge.stop()
        deadline = time.monotonic() + STOP_SECONDS
        for loop in self._loops.values():
            loop.join(max(0.0, deadline - time.monotonic()))

    def _pull_duty(
        self,
        policies: PolicyStore,
        running: PolicyBundle | None,
        apply_policy: Callable[[PolicyBundle], None],
    ) -> PullPolicy:
        return PullPolicy(
            uplink=self._road,
            policies=policies,
            health=self._health,
            running=running,
            apply_policy=apply_policy,
            on_change=lambda: self._wake("status"),
        )

    def _renewal_duty(self, data_dir: Path, connect: Connect, now: Callable[[], datetime]) -> RenewCertificate:
        return RenewCertificate(
            data_dir=data_dir,
            identity=self._identity,
            uplink=self._road,
            connect=connect,
            adopt=self._adopt,
            health=self._health,
            now=now,
            chance=random.random,
        )

    def _loop(self, duty: Duty) -> DutyLoop:
        return DutyLoop(duty, on_success=self._heed_success, on_fault=self._heed_fault, backoff=self._backoff)

    def _wake(self, duty: str) -> None:
        loop = self._loops.get(duty)
        if loop is not None:
            loop.wake()

    def _heed_nudge(self) -> None:
        if self._look is not None:
            self._look.ask()
            self._wake(self._look.name)

    def _wake_all(self) -> None:
        for loop in self._loops.values():
            loop.wake()

    def _heed_success(self, duty: str) -> None:
        self._health.clear(conditions.LINK_FAULT.code, subject=duty)

    def _heed_fault(self, duty: str, error: Exception) -> None:
        text = f"The link's {duty} duty failed in a way that was not foreseen ({type(error).__name__})."
        self._health.hold(conditions.LINK_FAULT.saying(text, subject=duty))

    def _heed_trouble(self, error: UplinkError) -> None:
        if not self._stopping.is_set():
            self._reachability.trouble(error)

    def _adopt(self, identity: NodeIdentity, uplink: Uplink) -> None:
        """The renewed identity is proven: everything speaks with it from now on."""
        self._identity = identity
        self._reachability.identity = identity
        self._road.exchange(uplink)
        if self._nudge is not None:
            self._nudge.stop()
            self._start_nudge()

    def _start_nudge(self) -> None:
        """Presence and nudges, when the mesh has a broker."""
        if self._identity.mqtt_endpoint and not self._stopping.is_set():
            self._nudge = MqttNudge(
                identity=self._identity,
                boot_id=self._boot_id,
                health=self._health,
                on_nudge=self._heed_nudge,
            )
            self._nudge.start()
