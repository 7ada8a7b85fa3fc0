"""What nodes look like over REST."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict

from control.nodes.reports import NodeFacts, node_state


class ConditionItem(BaseModel):
    """Something about a node that people should know."""

    model_config = ConfigDict(from_attributes=True)

    code: str
    severity: str
    text: str
    hint: str


class PolicyPlaceItem(BaseModel):
    """A policy's place in the order. 0.0 is none."""

    model_config = ConfigDict(from_attributes=True)

    generation: int
    version: int


class ReportItem(BaseModel):
    """What a node last said of itself."""

    model_config = ConfigDict(from_attributes=True)

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
    inflow_bytes_per_hour: int
    """Over the last hour; 0: not known yet."""
    outage_seconds: int
    """How long the free room lasts at that inflow when nothing leaves; 0: not known yet."""
    conditions: list[ConditionItem]
    active: PolicyPlaceItem
    attempt: PolicyPlaceItem
    attempt_state: str
    attempt_error: str


class NodeItem(BaseModel):
    """A node. `state` is online, silent, never or revoked; every word of it is as old as `age_seconds` says."""

    id: str
    name: str
    site: str
    state: str
    enrolled_at: datetime
    certificate_ends: datetime
    certificate_days: int
    """Whole days until then; negative when it has ended."""
    clock_offset_seconds: int | None
    """How far the node's clock was ahead of this one at its last report; negative: behind."""
    revoked_at: datetime | None
    last_contact_at: datetime | None
    age_seconds: int | None
    reported_at: datetime | None
    clone_suspected: bool
    report: ReportItem | None


CLONED = ConditionItem(
    code="identity-cloned",
    severity="high",
    text="Two boxes speak with this node's identity.",
    hint="Switch one of them off and enrol it again with a token of its own.",
)


def node_item(facts: NodeFacts, now: datetime) -> NodeItem:
    """A node as it is shown at this moment."""
    age = now - facts.last_contact_at if facts.last_contact_at is not None else None
    report = ReportItem.model_validate(facts.report) if facts.report is not None else None
    if report is not None and facts.clone_suspected:
        report.conditions.insert(0, CLONED)
    offset = None
    if facts.report is not None and facts.report.node_time is not None and facts.reported_at is not None:
        offset = round((facts.report.node_time - facts.reported_at).total_seconds())
    return NodeItem(
        certificate_days=(facts.certificate_ends - now).days,
        clock_offset_seconds=offset,
        id=facts.id,
        name=facts.name,
        site=facts.site,
        state=node_state(facts, now),
        enrolled_at=facts.enrolled_at,
        certificate_ends=facts.certificate_ends,
        revoked_at=facts.revoked_at,
        last_contact_at=facts.last_contact_at,
        age_seconds=max(0, int(age.total_seconds())) if age is not None else None,
        reported_at=facts.reported_at,
        clone_suspected=facts.clone_suspected,
        report=report,
    )
