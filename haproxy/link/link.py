"""The link put together: threads of its own, which the manager never waits for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import structlog

from edge.errors import UplinkRefused, UplinkUnreachable
from edge.sync.backoff import Backoff
from edge.sync.duty_loop import DutyLoop
from edge.sync.identity import IdentityDamaged, NodeIdentity, load_identity
from haproxy.link.duties import PullPools, ReportPools
from haproxy.link.figures import figures_of
from haproxy.link.uplink import GrpcPoolsUplink, PoolsUplink
from haproxy.link.verifying import NotOurs, Verified, verified
from haproxy.manager.interface import Condition, PoolManager, Severity
from mesh.v1.pools_pb2 import SignedPools

log = structlog.get_logger(__name__)
STOP_SECONDS = 3.0
CENTRE_AWAY = Condition(
    code="centre-away",
    severity=Severity.LOW,
    text="The control plane does not answer; the last pools stay, and words said here hold.",
    hint="Nothing at this site needs it. Look at the network, and at the control plane.",
)

CENTRE_REFUSES = Condition(
    code="centre-refuses",
    severity=Severity.MEDIUM,
    text="The control plane and this manager do not agree; the last pools stay, and words said here hold.",
    hint="Look whether the node on this box was revoked, and whether it is of the mesh that it should be in.",
)


class Link:
    """Follows the identity of the node in `node_data_dir`, also when it is renewed, or comes later."""

    def __init__(
        self,
        manager: PoolManager,
        node_data_dir: Path,
        metrics: Callable[[], str],
        *,
        connect: Callable[[NodeIdentity], PoolsUplink] = GrpcPoolsUplink,
    ) -> None:
        self._manager, self._node_data_dir, self._connect = manager, node_data_dir, connect
        self._lock = threading.Lock()
        self._identity: NodeIdentity | None = None
        self._uplink: PoolsUplink | None = None
        self._faults: dict[str, Condition] = {}
        self._told: tuple[Condition, ...] = ()
        pull = PullPools(self._current, manager, self._verify)
        report = ReportPools(self._current, manager, lambda: figures_of(metrics()))
        self._loops = [
            DutyLoop(duty, on_success=self._well, on_fault=self._fault, backoff=Backoff(cap_seconds=30.0))
            for duty in (pull, report)
        ]

    def start(self) -> None:
        """Return at once."""
        for loop in self._loops:
            loop.start()

    def stop(self) -> None:
        """End within a few seconds; calls under way are cut."""
        for loop in self._loops:
            loop.stop()
        with self._lock:
            if self._uplink is not None:
                self._uplink.close()
        for loop in self._loops:
            loop.join(STOP_SECONDS)

    def _current(self) -> PoolsUplink:
        """The connection as the node's newest identity. Raises UplinkUnreachable while there is none."""
        try:
            identity = load_identity(self._node_data_dir)
        except IdentityDamaged as error:
            raise UplinkUnreachable(str(error)) from error
        if identity is None:
            raise UplinkUnreachable(f"no node is enrolled in {self._node_data_dir.name}")
        with self._lock:
            if self._uplink is None or self._identity != identity:
                if self._uplink is not None:
                    self._uplink.close()
                self._uplink, self._identity = self._connect(identity), identity
            return self._uplink

    def _verify(self, offered: SignedPools) -> Verified:
        with self._lock:
            identity = self._identity
        assert identity is not None  # what was offered came over its connection
        return verified(offered.document, offered.signature, site=identity.site, public_key=identity.policy_public_key)

    def _well(self, duty: str) -> None:
        with self._lock:
            self._faults.pop(duty, None)
        self._tell()

    def _fault(self, duty: str, error: Exception) -> None:
        words = str(error)[:300]
        log.warning("link.fault", duty=duty, error=words)
        refuses = isinstance(error, (UplinkRefused, NotOurs))
        with self._lock:
            self._faults[duty] = (
                replace(CENTRE_REFUSES, text=f"{CENTRE_REFUSES.text} Why: {words}") if refuses else CENTRE_AWAY
            )
        self._tell()

    def _tell(self) -> None:
        with self._lock:
            found = tuple({condition.code: condition for condition in self._faults.values()}.values())
            news, self._told = found != self._told, found
        if news:
            self._manager.tell_link(found)
