"""The composition root of the process that routes, keeps and tells: it owns the order of start and stop.

Receiving and delivering are other processes' work (`edge/processes`); they meet this one at the spool and the buffer.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import structlog

from edge.attendance import FILE as ATTENDANCE
from edge.attendance import Attendance
from edge.buffer import rows
from edge.buffer.deliveries import nobody
from edge.buffer.held import DUPLICATES_NOTE
from edge.buffer.notices import NoticeReceiver
from edge.buffer.slot_maker import SlotMaker
from edge.buffer.store import Buffer
from edge.data_dir import PSEUDONYM_KEY
from edge.durable import write_durably
from edge.errors import PolicyError
from edge.exposition import Exposition
from edge.gatherer import Gatherer
from edge.health import IDENTITY_DAMAGED, NO_POLICY, Condition, HealthBoard, worst_first
from edge.housekeeping import Housekeeping
from edge.local_http import LocalHttp
from edge.model import SealedInstance
from edge.orders import Orders, publish
from edge.policy.document import Policy, load_policy
from edge.recovery import Recovered, close_shelves, look_again, recover
from edge.routing import Router
from edge.run_dir import RunDir
from edge.settings import EdgeSettings
from edge.siblings import Siblings
from edge.sync.identity import NodeIdentity
from edge.sync.link import Link
from edge.sync.policy_store import PolicyStore, policy_label
from edge.sync.trust import PolicyTrust, load_enrolment
from mesh.v1.common_pb2 import PolicyBundle

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
        self._health = HealthBoard()
        self._buffer = Buffer(settings.data_dir, ready_bytes=settings.ready_spool_bytes, admitted=admitted)
        self._enrolment = load_enrolment(settings.data_dir)
        self._follows_centre = local_policy is None and self._enrolment.trust is not None
        self._policy_lock = threading.Lock()
        self._policy: Policy | None = local_policy
        self._running_bundle: PolicyBundle | None = None
        self._router = Router(
            self._buffer,
            self._health,
            lambda: self._policy,
            pseudonym_key(settings.data_dir),
            look=self._look,
            tidy=self._tidy,
        )
        self._housekeeping = Housekeeping(
            self._buffer,
            self._health,
            lambda: self._policy,
            has_centre=self._enrolment.trust is not None,
            min_free_bytes=settings.min_free_bytes,
            slots=SlotMaker(settings.data_dir / "spool", self._buffer.slots, settings.ready_spool_bytes),
        )
        self._gatherer = Gatherer(
            self._buffer.gatherings, Attendance(self._run_dir.path / ATTENDANCE).is_open, behind=self._buffer.behind
        )
        self._notices: NoticeReceiver | None = None
        self._http: LocalHttp | None = None
        self._exposition = Exposition(self.conditions, self._destinations, self._siblings)
        self._link: Link | None = None

    def start(self) -> tuple[str, int]:
        """Return when what arrives is routed: the address of the local HTTP."""
        http = LocalHttp(self._settings.http, alive=self.alive, facts=self.facts, metrics=self._metrics)
        self._http = http
        self._take_up_last_good()
        self._notices = NoticeReceiver(self._settings.data_dir, _Arrivals(self._buffer), look=self.look_again)
        self._notices.open()
        self.recover()
        if self._policy is not None:
            self._give_orders(self._policy)
        else:
            self._health.raise_condition(NO_POLICY)
        self._router.start()
        self._notices.start()
        self._housekeeping.start()
        self._gatherer.start()
        http.start()
        if self._enrolment.identity is not None and self._enrolment.trust is not None:
            self._link = self._make_link(self._enrolment.identity, self._enrolment.trust)
            self._link.start()
        elif self._enrolment.trouble:
            self._health.raise_condition(IDENTITY_DAMAGED)
        log.info("node.started", policy=self._policy.label if self._policy else "none")
        return http.address

    def recover(self) -> Recovered:
        """Make index and spool agree."""
        return recover(self._buffer, self._router.admit)

    def rebuild(self) -> Recovered:
        """Index the spool without opening any door, then end."""
        self._take_up_last_good()
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

    def facts(self) -> dict[str, Any]:
        """What the node says of itself to this machine."""
        counts = self._buffer.counts()
        free, total = self._buffer.spool.room()
        ready = self.alive() and self._siblings.receiving() and free >= self._settings.min_free_bytes
        return {
            "ready": ready,
            "version": version("skerry"),
            "dicom": self._dicom,
            "policy": self._policy.label if self._policy else None,
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
            "conditions": [_shown(one) for one in self.conditions()],
            "processes": self._siblings.processes(),
        }

    def conditions(self) -> tuple[Condition, ...]:
        """What is not right, here and in the other processes; the worst first."""
        return worst_first([*self._health.current(), *self._siblings.conditions()])

    def apply_policy(self, bundle: PolicyBundle) -> None:
        """Run this policy from now on.

        Raises:
            PolicyError: it must not run here; the one before goes on untouched.
        """
        try:
            text = bundle.document.decode("utf-8")
        except UnicodeDecodeError as error:
            raise PolicyError("the policy document is not UTF-8 text") from error
        policy = load_policy(text).labelled(policy_label(bundle))
        with self._policy_lock:
            self._policy = policy
            self._running_bundle = bundle
            self._give_orders(policy)
        self._health.clear(NO_POLICY.code)

    def _take_up_last_good(self) -> None:
        if self._enrolment.trust is None or not self._follows_centre:
            return
        for stored in self._policies(self._enrolment.trust).good():
            try:
                text = stored.bundle.document.decode("utf-8")
                self._policy = load_policy(text).labelled(policy_label(stored.bundle))
            except (PolicyError, UnicodeDecodeError):
                log.exception("policy.cannot_run", file=stored.file)
                continue
            self._running_bundle = stored.bundle
            return

    def _policies(self, trust: PolicyTrust) -> PolicyStore:
        return PolicyStore(self._settings.data_dir, site=trust.site, public_key=trust.public_key)

    def _make_link(self, identity: NodeIdentity, trust: PolicyTrust) -> Link:
        return Link(
            data_dir=self._settings.data_dir,
            identity=identity,
            outbox=self._buffer,
            health=self._health,
            policies=self._policies(trust) if self._follows_centre else None,
            running=self._running_bundle,
            apply_policy=self.apply_policy,
            status=self._report,
            software_version=version("skerry"),
        )

    def _report(self) -> Mapping[str, object]:
        facts = self.facts()
        reported = ("ready", "version", "dicom", "policy", "instances_nowhere", "processes", "standings")
        return {
            **{key: value for key, value in facts.items() if key not in reported},
            "dicom_endpoint": facts["dicom"],
        }

    def _give_orders(self, policy: Policy) -> None:
        publish(self._run_dir, Orders(policy=policy.label, destinations=tuple(policy.destinations)))
        self._buffer.set_note(DUPLICATES_NOTE, policy.duplicates)

    def _look(self) -> None:
        look_again(self._buffer, self._router.admit)

    def _tidy(self) -> None:
        close_shelves(self._buffer, self._router.admit)

    def _destinations(self) -> set[str]:
        return {one.name for one in self._policy.destinations} if self._policy else set()

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
