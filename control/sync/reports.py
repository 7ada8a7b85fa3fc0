"""ReportStatus as a value of ours. Pure; a strange number or text never refuses the whole report."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp
from pydantic import ValidationError

from control.figures.lines import Sample
from control.nodes.reports import Condition, PolicyPlace, StatusReport
from mesh.pools import AddressesModel
from mesh.v1 import common_pb2, sync_pb2

INT64_MAX = (1 << 63) - 1
MAX_CONDITIONS = 50
STATES = {
    sync_pb2.ATTEMPT_STATE_APPLYING: "applying",
    sync_pb2.ATTEMPT_STATE_APPLIED: "applied",
    sync_pb2.ATTEMPT_STATE_REJECTED: "rejected",
}


def read_report(request: sync_pb2.ReportStatusRequest) -> StatusReport:
    """What a node said. Texts are cut to what the table holds, NUL (which PostgreSQL refuses) is removed."""
    policy = request.policy
    return StatusReport(
        boot_id=_text(request.boot_id, 64),
        epoch=f"{request.epoch:016x}",
        software_version=_text(request.software_version, 64),
        dicom_endpoint=_text(request.dicom_endpoint, 255),
        node_time=_moment(request.node_time) if request.HasField("node_time") else None,
        instances_held=_count(request.instances_held),
        deliveries_waiting=_count(request.deliveries_waiting),
        deliveries_parked=_count(request.deliveries_parked),
        oldest_waiting_seconds=_count(request.oldest_waiting_seconds),
        outbox_events=_count(request.outbox_events),
        spool_free_bytes=_count(request.spool_free_bytes),
        spool_total_bytes=_count(request.spool_total_bytes),
        inflow_bytes_per_hour=_count(request.inflow_bytes_per_hour),
        outage_seconds=_count(request.outage_seconds),
        conditions=tuple(
            Condition(
                code=_text(one.code, 64),
                severity=_text(one.severity, 16),
                text=_text(one.text, 500),
                hint=_text(one.hint, 500),
            )
            for one in request.conditions[:MAX_CONDITIONS]
        ),
        active=_place(policy.active),
        active_sha256=policy.active_sha256[:32],
        attempt=_place(policy.attempt),
        attempt_state="rolled_back" if policy.stage == "rolled_back" else STATES.get(policy.attempt_state, ""),
        attempt_error=_text(policy.error, 4000),
        attempt_offer=_count(policy.offer),
        addresses=_addresses(request.addresses),
        policy_figures=_figures(request.policy_figures) if request.HasField("policy_figures") else {},
    )


def read_figures(request: sync_pb2.ReportStatusRequest) -> Iterable[Sample]:
    """The metrics in a report."""
    return read_samples(request.figures)


def read_samples(figures: Iterable[sync_pb2.Figure]) -> Iterable[Sample]:
    """Metrics as they came."""
    return (Sample(name=one.name, labels=dict(one.labels), value=one.value) for one in figures)


def _addresses(addresses: sync_pb2.Addresses) -> dict[str, str]:
    """Those that HAProxy could use. A node that tells something else is in no pool."""
    told = {field.name: value for field, value in addresses.ListFields()}
    try:
        return AddressesModel.model_validate(told).model_dump(exclude_none=True)
    except ValidationError:
        return {}


def _figures(figures: sync_pb2.PolicyFigures) -> dict[str, int]:
    return {field.name: _count(value) for field, value in figures.ListFields() if isinstance(value, int)}


def _place(version: common_pb2.PolicyVersion) -> PolicyPlace:
    return PolicyPlace(generation=_count(version.generation), version=_count(version.version))


def _text(text: str, longest: int) -> str:
    return text.replace("\0", "")[:longest]


def _count(number: int) -> int:
    return min(number, INT64_MAX)


def _moment(stamp: Timestamp) -> datetime | None:
    try:
        return stamp.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
