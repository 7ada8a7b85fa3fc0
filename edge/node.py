"""The composition root: the only module that knows every stage; it owns the order of start and stop."""

from __future__ import annotations

import fcntl
import secrets
import socket
import threading
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any

import structlog

from edge import metrics
from edge.buffer.intake import Intake
from edge.buffer.store import Buffer
from edge.durable import write_durably
from edge.errors import DataDirInUse, PolicyError
from edge.forward.lanes import Lanes
from edge.health import IDENTITY_DAMAGED, NO_POLICY, HealthBoard
from edge.housekeeping import Housekeeping
from edge.ingest.custody import Custody
from edge.ingest.door import DicomDoor
from edge.ingest.listener import listen
from edge.local_http import LocalHttp
from edge.policy.document import Policy, load_policy
from edge.recovery import Recovered, recover
from edge.routing import Router
from edge.settings import EdgeSettings
from edge.sync.identity import NodeIdentity
from edge.sync.link import Link
from edge.sync.policy_store import PolicyStore, policy_label
from edge.sync.trust import PolicyTrust, load_enrolment
from mesh.v1.common_pb2 import PolicyBundle

log = structlog.get_logger(__name__)
DOOR_GRACE_SECONDS = 2.0


class Node:
    """One edge node in one data directory.

    `local_policy` is the policy of `--policy` or `--to`; it beats the control plane's. A node without any policy only
    buffers: it keeps what arrives, shows it, and routes it when a policy comes.
    """

    def __init__(self, settings: EdgeSettings, local_policy: Policy | None) -> None:
        self._settings = settings
        self._lock = lock_data_dir(settings.data_dir)
        self._health = HealthBoard()
        self._buffer = Buffer(settings.data_dir)
        self._enrolment = load_enrolment(settings.data_dir)
        self._follows_centre = local_policy is None and self._enrolment.trust is not None
        self._policy_lock = threading.Lock()
        self._policy: Policy | None = local_policy
        self._running_bundle: PolicyBundle | None = None
        self._lanes = Lanes(settings, self._buffer, self._health)
        self._router = Router(self._buffer, self._health, lambda: self._policy, pseudonym_key(settings.data_dir))
        self._housekeeping = Housekeeping(
            self._buffer, self._health, lambda: self._policy, has_centre=self._enrolment.trust is not None
        )
        self._intake = Intake(settings.data_dir)
        self._listener: socket.socket | None = None
        self._door: DicomDoor | None = None
        self._http = LocalHttp(settings.http, alive=self.alive, facts=self.facts, refresh=self._housekeeping.refresh)
        self._link: Link | None = None
        self._dicom_address = ("", 0)

    def start(self) -> tuple[tuple[str, int], tuple[str, int]]:
        """Return when modalities can send: the addresses of the DICOM door and of the local HTTP."""
        metrics.BUILD_INFO.labels(version=version("skerry")).set(1)
        self._take_up_last_good()
        self.recover()
        if self._policy is not None:
            self._lanes.match(self._policy.destinations)
        else:
            self._health.raise_condition(NO_POLICY)
        self._router.start()
        self._housekeeping.start()
        self._http.start()
        self._dicom_address = self._open_door()
        if self._enrolment.identity is not None and self._enrolment.trust is not None:
            self._link = self._make_link(self._enrolment.identity, self._enrolment.trust)
            self._link.start()
        elif self._enrolment.trouble:
            self._health.raise_condition(IDENTITY_DAMAGED)
        log.info("node.started", policy=self._policy.label if self._policy else "none")
        return self._dicom_address, self._http.address

    def recover(self) -> Recovered:
        """Make index and spool agree."""
        return recover(self._buffer, self._router.admit)

    def rebuild(self) -> Recovered:
        """Index the spool without opening any door, then end."""
        self._take_up_last_good()
        found = self.recover()
        self._buffer.close()
        self._lock.close()
        return found

    def stop(self) -> None:
        """End within ten seconds: the door first, then what empties the buffer, then the buffer."""
        if self._door is not None and self._listener is not None:
            self._door.stop(DOOR_GRACE_SECONDS)
            self._listener.close()
        self._intake.stop()
        if self._link is not None:
            threading.Thread(target=self._link.stop, daemon=True).start()
        self._router.stop(timeout=2.0)
        self._lanes.stop()
        self._housekeeping.stop(timeout=1.0)
        self._http.stop()
        self._buffer.close()
        self._lock.close()
        log.info("node.stopped")

    def _open_door(self) -> tuple[str, int]:
        self._listener = listen(self._settings.listen)
        self._intake.start()
        custody = Custody(self._intake, self._buffer.arrived, self._health, self._settings.min_free_bytes)
        self._door = DicomDoor(self._settings, custody, self._listener)
        self._door.start()
        address = self._listener.getsockname()
        return str(address[0]), int(address[1])

    def alive(self) -> bool:
        """Whether every thread that images depend on still works."""
        return self._buffer.alive() and self._router.alive() and self._lanes.alive()

    def facts(self) -> dict[str, Any]:
        """What the node says of itself to this machine."""
        counts = self._buffer.counts()
        conditions = self._conditions()
        free, total = self._buffer.spool.room()
        return {
            "ready": self._dicom_address[1] != 0 and self.alive() and free >= self._settings.min_free_bytes,
            "version": version("skerry"),
            "dicom": "{}:{}".format(*self._dicom_address),
            "policy": self._policy.label if self._policy else None,
            "instances_held": counts.instances_held,
            "instances_nowhere": counts.instances_nowhere,
            "deliveries_waiting": counts.deliveries_waiting,
            "deliveries_parked": counts.deliveries_parked,
            "oldest_waiting_seconds": counts.oldest_waiting_seconds,
            "outbox_events": counts.outbox_events,
            "spool_free_bytes": free,
            "spool_total_bytes": total,
            "conditions": conditions,
        }

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
            self._lanes.match(policy.destinations)
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
        reported = ("ready", "version", "dicom", "policy", "instances_nowhere")
        return {
            **{key: value for key, value in facts.items() if key not in reported},
            "dicom_endpoint": facts["dicom"],
        }

    def _conditions(self) -> list[dict[str, str]]:
        held = [(one.code, str(one.severity), one.text, one.hint) for one in self._health.current()]
        return [dict(zip(("code", "severity", "text", "hint"), one, strict=True)) for one in held]


def lock_data_dir(data_dir: Path) -> IO[str]:
    """Own this data directory until the returned file is closed, or the process ends however it ends.

    Raises:
        DataDirInUse: another process owns it.
    """
    data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = (data_dir / "lock").open("a+", encoding="utf-8")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise DataDirInUse(f"another process owns {data_dir}") from error
    return lock


def is_owned(data_dir: Path) -> bool:
    """Whether a process owns this data directory now: the node runs, or its index is rebuilt."""
    try:
        with (data_dir / "lock").open("r", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def pseudonym_key(data_dir: Path) -> bytes:
    """The key of this node's pseudonyms: made once, never leaves the data directory."""
    path = data_dir / "pseudonym.key"
    if not path.exists():
        write_durably(path, secrets.token_bytes(32), mode=0o600)
    return path.read_bytes()
