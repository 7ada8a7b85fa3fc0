"""The composition root of the process that routes, keeps and tells: it owns the order of start and stop.

Receiving and delivering are other processes' work (`edge/processes`); they meet this one at the spool and the buffer.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import structlog

from edge.advertised import addresses
from edge.attendance import FILE as ATTENDANCE
from edge.attendance import Attendance
from edge.buffer import rows
from edge.buffer.deliveries import nobody
from edge.buffer.hand import Hand
from edge.buffer.held import DUPLICATES_NOTE
from edge.buffer.notices import NoticeReceiver
from edge.buffer.slot_maker import SlotMaker
from edge.buffer.store import Buffer
from edge.centre_commands import CentreCommands
from edge.data_dir import PSEUDONYM_KEY
from edge.draining import Draining
from edge.durable import write_durably
from edge.exposition import Exposition
from edge.gatherer import Gatherer
from edge.health import IDENTITY_DAMAGED, NO_POLICY, Condition, HealthBoard, worst_first
from edge.housekeeping import Housekeeping
from edge.inflow import Inflow, outage_seconds
from edge.local_http import LocalHttp
from edge.model import Destination, SealedInstance
from edge.orders import Orders, publish
from edge.policy.document import Policy
from edge.policy_in_force import PolicyInForce
from edge.recovery import Recovered, close_shelves, look_again, recover
from edge.routing import Router
from edge.run_dir import FOLLOWS, RunDir
from edge.settings import EdgeSettings
from edge.siblings import Siblings
from edge.sync.identity import NodeIdentity
from edge.sync.link import Link
from edge.sync.probation import Counts, Terms
from edge.sync.trust import load_enrolment

log = structlog.get_logger(__name__)


class Node:
    """The core of one edge node in one data directory, which its caller owns.

    `local_policy` is the policy of `--policy` or `--to`; it beats the control plane's. A node without any policy only
    buffers: it keeps what arrives, shows it, and routes it when a policy comes. `admitted` is called when there is work
    for who delivers; `dicom` is where the processes that receive listen.
    """

    def __init__(
        self,
        settings: EdgeSettings,
        local_policy: Policy | None,
        *,
        dicom: str = "",
        admitted: Callable[[], None] = nobody,
    ) -> None:
        self._settings, self._dicom = settings, dicom
        self._run_dir = RunDir(settings.data_dir)
        self._siblings = Siblings(self._run_dir)
        self._draining = Draining(settings.data_dir)
        self._health = HealthBoard()
        self._buffer = Buffer(settings.data_dir, ready_bytes=settings.ready_spool_bytes, admitted=admitted)
        self._enrolment = load_enrolment(settings.data_dir)
        self._in_force = PolicyInForce(
            settings.data_dir,
            local_policy,
            trust=self._enrolment.trust,
            health=self._health,
            changed=self._give_orders,
            terms=Terms(seconds=settings.probation_seconds),
            audit=lambda action, reason: Hand(settings.data_dir, who="this node").note(action, reason),
        )
        self._inflow = Inflow()
        self._router = Router(
            self._buffer,
            self._health,
            lambda: self._in_force.policy,
            pseudonym_key(settings.data_dir),
            look=self._look,
            tidy=self._tidy,
            inflow=self._inflow.note,
            site=self._enrolment.trust.site if self._enrolment.trust else "",
        )
        self._housekeeping = Housekeeping(
            self._buffer,
            self._health,
            lambda: self._in_force.policy,
            has_centre=self._enrolment.trust is not None,
            min_free_bytes=settings.min_free_bytes,
            slots=SlotMaker(settings.data_dir / "spool", self._buffer.slots, settings.ready_spool_bytes),
        )
        self._gatherer = Gatherer(
            self._buffer.gatherings,
            Attendance(self._run_dir.path / ATTENDANCE).is_open,
            behind=self._buffer.behind,
            health=self._health,
        )
        self._notices: NoticeReceiver | None = None
        self._http: LocalHttp | None = None
        self._exposition = Exposition(self.conditions, self._destinations, self._siblings)
        self._link: Link | None = None

    def start(self) -> tuple[str, int]:
        """Return when what arrives is routed: the address of the local HTTP."""
        http = LocalHttp(self._settings.http, alive=self.alive, facts=self.facts, metrics=self._metrics)
        self._http = http
        self._in_force.take_up()
        self._in_force.start()
        self._run_dir.write(FOLLOWS, self._in_force.follows())
        self._notices = NoticeReceiver(self._settings.data_dir, _Arrivals(self._buffer), look=self.look_again)
        self._notices.open()
        self.recover()
        policy = self._in_force.policy
        if policy is not None:
            self._give_orders(policy)
        else:
            self._health.raise_condition(NO_POLICY)
        self._router.start()
        self._notices.start()
        self._housekeeping.start()
        self._gatherer.start()
        http.start()
        if self._enrolment.identity is not None and self._enrolment.trust is not None:
            self._link = self._make_link(self._enrolment.identity)
            self._link.start()
        else:
            self._in_force.commit_unwatched()
            if self._enrolment.trouble:
                self._health.raise_condition(IDENTITY_DAMAGED)
        log.info("node.started", policy=policy.label if policy else "none")
        return http.address

    def recover(self) -> Recovered:
        """Make index and spool agree."""
        return recover(self._buffer, self._router.admit)

    def rebuild(self) -> Recovered:
        """Index the spool without opening any door, then end."""
        self._in_force.take_up(counts_as_start=False)
        found = self.recover()
        self._buffer.close()
        return found

    def look_again(self) -> None:
        """Find what a process that received took into custody and told nobody of."""
        self._router.look_again()

    def outbox_grew(self) -> None:
        """Another process has settled deliveries."""
        self._buffer.outbox_grew()

    def stop(self) -> None:
        """End within a few seconds: first what comes in, then the buffer."""
        if self._notices is not None:
            self._notices.stop()
        self._in_force.stop()
        if self._link is not None:
            threading.Thread(target=self._link.stop, daemon=True).start()
        self._router.stop(timeout=2.0)
        self._housekeeping.stop(timeout=1.0)
        self._gatherer.stop(timeout=1.0)
        if self._http is not None:
            self._http.stop()
        self._buffer.close()
        log.info("node.stopped")

    def alive(self) -> bool:
        """Whether every thread that images depend on still works."""
        hears = self._notices is not None and self._notices.alive()
        return hears and self._buffer.alive() and self._router.alive()

    def waiting(self) -> int:
        """Deliveries that are not done; asks the index."""
        return self._buffer.counts().deliveries_waiting

    def facts(self) -> dict[str, Any]:
        """What the node says of itself to this machine."""
        counts, policy = self._buffer.counts(), self._in_force.policy
        free, total = self._buffer.spool.room()
        inflow = self._inflow.bytes_per_hour()
        ready = self.alive() and self._siblings.receiving() and free >= self._settings.min_free_bytes
        return {
            "ready": ready and not self._draining.is_on(),
            "version": version("skerry"),
            "dicom": self._dicom,
            "policy": policy.label if policy else None,
            "instances_held": counts.instances_held,
            "instances_nowhere": counts.instances_nowhere,
            "deliveries_waiting": counts.deliveries_waiting,
            "deliveries_parked": counts.deliveries_parked,
            "deliveries_quarantined": counts.deliveries_quarantined,
            "deliveries_held": counts.deliveries_held,
            "standings": counts.standings,
            "deliveries": rows.by_priority(self._buffer.tally()),
            "oldest_waiting_seconds": counts.oldest_waiting_seconds,
            "outbox_events": counts.outbox_events,
            "spool_free_bytes": free,
            "spool_total_bytes": total,
            "inflow_bytes_per_hour": inflow,
            "outage_seconds": outage_seconds(room_bytes=free - self._settings.min_free_bytes, bytes_per_hour=inflow),
            "conditions": [_shown(one) for one in self.conditions()],
            "processes": self._siblings.processes(),
        }

    def conditions(self) -> tuple[Condition, ...]:
        """What is not right, here and in the other processes; the worst first."""
        drained = self._draining.conditions(lambda: self._buffer.counts().deliveries_waiting)
        return worst_first([*self._health.current(), *self._siblings.conditions(), *drained])

    def _make_link(self, identity: NodeIdentity) -> Link:
        return Link(
            data_dir=self._settings.data_dir,
            identity=identity,
            outbox=self._buffer,
            health=self._health,
            pipeline=self._in_force.pipeline(self._counts),
            status=self._report,
            software_version=version("skerry"),
            commands=CentreCommands(self._settings.data_dir, facts=self.facts, destinations=self._known).kinds(),
        )

    def _counts(self) -> Counts:
        """What a policy is judged by."""
        held, totals = self._buffer.counts(), self._exposition.totals()
        return Counts(
            accepted=totals.get("accepted", 0),
            delivered=totals.get("delivered", 0),
            failed=totals.get("retry", 0),
            parked=totals.get("parked", 0),
            quarantined=totals.get("quarantined", 0),
            restarts=totals.get("restarts", 0),
            unrouted=held.instances_nowhere,
            waiting=held.deliveries_waiting,
        )

    def _report(self) -> Mapping[str, object]:
        facts = self.facts()
        reported = ("ready", "version", "dicom", "policy", "instances_nowhere", "processes", "standings")
        return {
            **{key: value for key, value in facts.items() if key not in reported},
            "dicom_endpoint": facts["dicom"],
            "addresses": addresses(
                advertise=self._settings.advertise,
                dicom=self._dicom,
                agent=self._settings.agent,
                toward=self._enrolment.identity.grpc_endpoint if self._enrolment.identity is not None else "",
            ),
            "figures": self._exposition.figures(),
        }

    def _give_orders(self, policy: Policy) -> None:
        publish(self._run_dir, Orders(policy=policy.label, destinations=tuple(policy.destinations)))
        self._buffer.set_note(DUPLICATES_NOTE, policy.duplicates)

    def _look(self) -> None:
        look_again(self._buffer, self._router.admit)

    def _tidy(self) -> None:
        close_shelves(self._buffer, self._router.admit)

    def _known(self) -> Sequence[Destination]:
        policy = self._in_force.policy
        return policy.destinations if policy else ()

    def _destinations(self) -> set[str]:
        return {one.name for one in self._known()}

    def _metrics(self) -> bytes:
        self._housekeeping.refresh()
        return self._exposition.text()


class _Arrivals:
    """The buffer's queue, as those know it who tell of arrivals."""

    def __init__(self, buffer: Buffer) -> None:
        self._buffer = buffer

    def put(self, sealed: SealedInstance) -> None:
        """Never blocks, never fails."""
        self._buffer.arrived(sealed)


def _shown(condition: Condition) -> dict[str, str]:
    values = asdict(condition)
    return {key: str(values[key]) for key in ("code", "severity", "text", "hint")}


def pseudonym_key(data_dir: Path) -> bytes:
    """The key of this node's pseudonyms: made once, never leaves the data directory."""
    path = data_dir / PSEUDONYM_KEY
    if not path.exists():
        write_durably(path, secrets.token_bytes(32), mode=0o600)
    return path.read_bytes()
