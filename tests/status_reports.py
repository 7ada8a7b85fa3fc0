"""What nodes report of themselves, and a way to say it as they do."""

from __future__ import annotations

from dataclasses import replace

from control.nodes.reports import NodeCaller, PolicyPlace, StatusReport
from control.services import Core
from control.sync.report_lane import ReportLane

NOTHING = PolicyPlace(generation=0, version=0)
WELL = StatusReport(
    boot_id="a",
    epoch="0" * 16,
    software_version="0.1.0",
    dicom_endpoint="",
    node_time=None,
    instances_held=0,
    deliveries_waiting=0,
    deliveries_parked=0,
    oldest_waiting_seconds=0,
    outbox_events=0,
    spool_free_bytes=0,
    spool_total_bytes=0,
    conditions=(),
    active=NOTHING,
    active_sha256=b"",
    attempt=NOTHING,
    attempt_state="",
    attempt_error="",
)
"""A node that has no policy and nothing to tell."""


def of_policies(
    *,
    active: tuple[int, int],
    attempt: tuple[int, int] = (0, 0),
    state: str = "",
    error: str = "",
    parked: int = 0,
    boot_id: str = "a",
) -> StatusReport:
    """What a node says of policies, each (generation, version), and nothing else."""
    return replace(
        WELL,
        boot_id=boot_id,
        deliveries_parked=parked,
        active=PolicyPlace(generation=active[0], version=active[1]),
        attempt=PolicyPlace(generation=attempt[0], version=attempt[1]),
        attempt_state=state,
        attempt_error=error,
    )


async def say(core: Core, caller: NodeCaller, said: StatusReport) -> bool:
    """Report it as a node does: whether two boxes seem to share its identity."""
    return await ReportLane(core.database, core.nodes, core.policies).keep(caller, said)
