"""What a node says of itself, and how old that word is. Pure values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

SILENT_AFTER = timedelta(minutes=3)
"""Three status reports missed: the node is shown as silent, never as well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeCaller:
    """Who speaks on the gRPC door: taken from its certificate and found in good standing."""

    node_id: str
    name: str
    site_id: int
    site: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """Something about a node that people should know."""

    code: str
    severity: str
    text: str
    hint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyPlace:
    """A policy's place in the order."""

    generation: int
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusReport:
    """What one ReportStatus said."""

    boot_id: str
    epoch: str
    software_version: str
    dicom_endpoint: str
    node_time: datetime | None
    instances_held: int
    deliveries_waiting: int
    deliveries_parked: int
    oldest_waiting_seconds: int
    outbox_events: int
    spool_free_bytes: int
    spool_total_bytes: int
    conditions: tuple[Condition, ...]
    active: PolicyPlace
    active_sha256: bytes
    attempt: PolicyPlace
    attempt_state: str
    """`` | applying | applied | rejected | rolled_back"""
    attempt_error: str
    inflow_bytes_per_hour: int = 0
    """0: not known."""
    outage_seconds: int = 0
    """How long its free room lasts at that inflow when nothing leaves; 0: not known."""
    policy_figures: Mapping[str, int] = field(default_factory=dict)
    """What it counted since it began to run its policy (`PolicyFigures`)."""
    addresses: Mapping[str, str] = field(default_factory=dict)
    """Where balancers of the site reach it, by the names of `mesh.pools.AddressesModel`."""
    attempt_offer: int = 0
    """Of the bundle that the attempt came with; 0: not told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFacts:
    """A node, what it last said, and when."""

    id: str
    name: str
    site: str
    enrolled_at: datetime
    certificate_ends: datetime
    revoked_at: datetime | None
    last_contact_at: datetime | None
    reported_at: datetime | None
    report: StatusReport | None
    clone_suspected: bool


def node_state(facts: NodeFacts, now: datetime) -> str:
    """`revoked`, `never` (enrolled, not heard of yet), `silent` or `online`."""
    if facts.revoked_at is not None:
        return "revoked"
    if facts.last_contact_at is None:
        return "never"
    return "silent" if now - facts.last_contact_at > SILENT_AFTER else "online"
