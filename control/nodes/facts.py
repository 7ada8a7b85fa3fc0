"""Rows of nodes as values (pure)."""

from __future__ import annotations

from control.nodes.models import Node, NodeReport
from control.nodes.reports import Condition, NodeFacts, PolicyPlace, StatusReport


def node_facts(node: Node, report: NodeReport | None, *, site: str) -> NodeFacts:
    """A row and its report as values."""
    return NodeFacts(
        id=node.id,
        name=node.name,
        site=site,
        enrolled_at=node.enrolled_at,
        certificate_ends=node.certificate_ends,
        revoked_at=node.revoked_at,
        last_contact_at=node.last_contact_at,
        reported_at=report.reported_at if report else None,
        report=_report(report) if report else None,
        clone_suspected=report.clone_suspected if report else False,
    )


def _report(row: NodeReport) -> StatusReport:
    return StatusReport(
        boot_id=row.boot_id,
        epoch=row.epoch,
        software_version=row.software_version,
        dicom_endpoint=row.dicom_endpoint,
        node_time=row.node_time,
        instances_held=row.instances_held,
        deliveries_waiting=row.deliveries_waiting,
        deliveries_parked=row.deliveries_parked,
        oldest_waiting_seconds=row.oldest_waiting_seconds,
        outbox_events=row.outbox_events,
        spool_free_bytes=row.spool_free_bytes,
        spool_total_bytes=row.spool_total_bytes,
        inflow_bytes_per_hour=row.inflow_bytes_per_hour,
        outage_seconds=row.outage_seconds,
        conditions=tuple(Condition(**one) for one in row.conditions),
        active=PolicyPlace(generation=row.active_generation, version=row.active_version),
        active_sha256=row.active_sha256,
        attempt=PolicyPlace(generation=row.attempt_generation, version=row.attempt_version),
        attempt_state=row.attempt_state,
        attempt_error=row.attempt_error,
        policy_figures=row.policy_figures,
        addresses=row.addresses,
    )
