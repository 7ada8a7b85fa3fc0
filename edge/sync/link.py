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
from edge.sync.command_journal import FILE as JOURNAL
from edge.sync.command_journal import CommandJournal
from edge.sync.commands import Kind, RunCommands
from edge.sync.conditions import LinkHealth
from edge.sync.drill import OUTAGE_DRILL, OutageDrill
from edge.sync.duty_loop import Duty, DutyLoop
from edge.sync.events_push import PushEvents
from edge.sync.grpc_uplink import GrpcUplink
from edge.sync.identity import NodeIdentity
from edge.sync.mqtt_nudge import MqttNudge
from edge.sync.outbox import Outbox
from edge.sync.policy_pipeline import PolicyPipeline
from edge.sync.policy_pull import LookForPolicy, PullPolicy, WatchPolicy
from edge.sync.reachability import Reachability
from edge.sync.renewal import RenewCertificate
from edge.sync.road import Road
from edge.sync.status_report import ReportStatus
from edge.sync.uplink import Connect, Uplink
from mesh.v1.sync_pb2 import PolicyStatus

STOP_SECONDS = 3.0
MakePipeline = Callable[[LinkHealth, Callable[[], None]], PolicyPipeline]
"""Gets where to say what is wrong, and whom to call when the policy's state has changed."""


class Link:
    """A node's link to its control plane: threads of its own, nothing on the data path.

    `pipeline` makes what tries policies; None when a person gave the node a policy of its own: then none is pulled.
    `status` gives the node's fields of ReportStatusRequest by their proto names; the link adds who, when and policy.
    `commands` is what people at the centre may ask of this node; the link adds the outage drill.
    """

    def __init__(
        self,
        *,
        data_dir: Path,
        identity: NodeIdentity,
        outbox: Outbox,
        health: HealthBoard,
        pipeline: MakePipeline | None,
        status: Callable[[], Mapping[str, object]],
        software_version: str,
        commands: Mapping[str, Kind] | None = None,
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
        self._loops: dict[str, DutyLoop] = {}
        self._reachability = Reachability(
            outbox=outbox, health=self._health, identity=identity, now=now, on_return=self._heed_return
        )
        self._road = Road(connect(identity), on_contact=self._reachability.contact, on_trouble=self._heed_trouble)
        self._nudge: MqttNudge | None = None
        self._push = PushEvents(outbox=outbox, uplink=self._road, health=self._health, boot_id=self._boot_id)
        duties: list[Duty] = [self._push]
        policy = pipeline(self._health, self._policy_changed) if pipeline is not None else None
        self._look: LookForPolicy | None = None
        if policy is not None:
            pull = PullPolicy(uplink=self._road, pipeline=policy)
            self._look = LookForPolicy(pull)
            duties.extend((pull, self._look, WatchPolicy(policy)))
        duties.append(
            ReportStatus(
                uplink=self._road,
                health=self._health,
                status=status,
                policy=policy.state if policy else PolicyStatus,
                policy_figures=policy.figures if policy else lambda: None,
                boot_id=self._boot_id,
                epoch=lambda: outbox.epoch,
                software_version=software_version,
                now=now,
                on_commands=self._heed_commands,
            )
        )
        drill = OutageDrill(
            self._road,
            reconnect=lambda: connect(self._identity),
            facts=status,
            behind=lambda: bool(outbox.read_outbox(1)),
            stopping=self._stopping,
        )
        self._commands = RunCommands(
            uplink=self._road,
            journal=CommandJournal(data_dir / JOURNAL),
            kinds={**(commands or {}), OUTAGE_DRILL: Kind(handle=drill.run, long=True)},
            wake=lambda: self._wake(RunCommands.name),
        )
        duties.append(self._commands)
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

    def _policy_changed(self) -> None:
        self._wake("status")
        self._wake(WatchPolicy.name)

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

    def _heed_commands(self) -> None:
        self._commands.ask()
        self._wake(RunCommands.name)

    def _heed_return(self) -> None:
        self._push.look_again()
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
                on_commands=self._heed_commands,
            )
            self._nudge.start()
