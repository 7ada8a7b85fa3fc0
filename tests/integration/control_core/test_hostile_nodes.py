"""A box with a valid certificate that means ill, or is badly broken: it harms nobody but itself, and it is seen."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import httpx2
import pytest

from mesh.v1 import sync_pb2
from tests.control_fixtures import RunningControl
from tests.mesh_events import batch, changed, received
from tests.node_box import Box, enrol_box

SECONDS = 15.0
PUSH = "/mesh.v1.EdgeSync/PushBatch"


@pytest.fixture
def api(control: RunningControl) -> httpx2.Client:
    return control.client()


@pytest.fixture
def sites(api: httpx2.Client) -> tuple[str, str]:
    names = tuple(f"{name}-{uuid.uuid4().hex[:8]}" for name in ("honest", "hostile"))
    for name in names:
        api.post("/api/v1/sites", json={"name": name}).raise_for_status()
    return names[0], names[1]


@pytest.fixture
def honest(api: httpx2.Client, sites: tuple[str, str]) -> Box:
    return enrol_box(api, sites[0], "box")


@pytest.fixture
def hostile(api: httpx2.Client, sites: tuple[str, str]) -> Box:
    return enrol_box(api, sites[1], "box")


def traced(api: httpx2.Client, study: str, site: str) -> list[dict[str, Any]]:
    """What one site told of a study, but for the count of arrivals everywhere."""
    found = api.get(f"/api/v1/studies/{study}/trace").json()["instances"]
    everywhere = {"arrival", "arrivals"}
    return [{key: one[key] for key in one.keys() - everywhere} for one in found if one["site"] == site]


def refused(call: Callable[[], object]) -> grpc.StatusCode:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    error: Any = caught.value
    code: grpc.StatusCode = error.code()
    return code


def test_the_ids_of_another_site_change_nothing_there(
    api: httpx2.Client, sites: tuple[str, str], honest: Box, hostile: Box
) -> None:
    study = f"1.{uuid.uuid4().int}"
    honest.sync().PushBatch(batch([received(1, study=study), changed(2, 1, "delivered", study=study)]), timeout=SECONDS)
    before = traced(api, study, sites[0])
    forged = [
        received(1, study=study, tags={"PatientID": "OTHER", "PatientName": "NOBODY"}),
        changed(2, 1, "parked", study=study),
        changed(3, 1, "discarded", study=study),
    ]
    hostile.sync().PushBatch(batch(forged), timeout=SECONDS)
    found = api.get("/api/v1/studies", params={"site": sites[0]}).json()["items"]
    assert [(one["received"], one["delivered"], one["parked"]) for one in found] == [(1, 1, 0)]
    assert traced(api, study, sites[0]) == before
    assert len(traced(api, study, sites[1])) == 1, "and both tellers are seen"


def test_a_clock_that_runs_years_ahead_puts_nobody_first_for_years_and_is_seen(
    api: httpx2.Client, sites: tuple[str, str], honest: Box, hostile: Box
) -> None:
    ahead, now = datetime(2090, 1, 1, tzinfo=UTC), datetime.now(UTC)
    theirs, ours = (f"1.{uuid.uuid4().int}" for _ in range(2))
    hostile.sync().PushBatch(batch([received(1, study=theirs, at=ahead)]), timeout=SECONDS)
    hostile.sync().ReportStatus(status(ahead), timeout=SECONDS)
    honest.sync().PushBatch(batch([received(1, study=ours, at=now)]), timeout=SECONDS)
    (told,) = api.get("/api/v1/studies", params={"site": sites[1]}).json()["items"]
    assert datetime.fromisoformat(told["last_received_at"]) < now + timedelta(hours=2)
    (instance,) = api.get(f"/api/v1/studies/{theirs}/trace").json()["instances"]
    assert "clock-ahead" in instance["flags"]
    (node,) = api.get("/api/v1/nodes", params={"site": sites[1]}).json()["items"]
    assert node["clock_offset_seconds"] > 365 * 24 * 3600


def status(at: datetime) -> sync_pb2.ReportStatusRequest:
    report = sync_pb2.ReportStatusRequest(boot_id="b", epoch=7, software_version="0")
    report.node_time.FromDatetime(at)
    return report


def jumped(sequence: int) -> sync_pb2.Event:
    event = received(1)
    event.sequence = sequence
    return event


def test_a_jump_in_the_sequence_costs_only_who_jumps(api: httpx2.Client, sites: tuple[str, str], hostile: Box) -> None:
    highest = 2**63 - 1
    assert hostile.sync().PushBatch(batch([jumped(highest)]), timeout=SECONDS).ack_sequence == highest
    beyond = batch([jumped(highest + 1)])
    assert refused(lambda: hostile.sync().PushBatch(beyond, timeout=SECONDS)) is grpc.StatusCode.INVALID_ARGUMENT
    # Under another epoch it is heard again, as a box whose database was made anew.
    assert hostile.sync().PushBatch(batch([received(1, 3)], epoch=9), timeout=SECONDS).ack_sequence == 1


def test_a_batch_that_is_too_large_or_no_message_is_refused_and_the_others_are_heard(
    api: httpx2.Client, sites: tuple[str, str], honest: Box, hostile: Box
) -> None:
    many = sync_pb2.PushBatchRequest(epoch=7, events=[received(1)] * 5001)
    giant = batch([received(1, tags={"PatientName": "x" * (5 << 20)})])
    texts = (
        batch([received(1, calling_ae_title="CT_ONE")])
        .SerializeToString()
        .replace(b"CT_ONE", b"\xff\xfe\xc3\x28\xa0\xa1")
    )
    raw: grpc.UnaryUnaryMultiCallable[bytes, bytes] = hostile.channel().unary_unary(PUSH)
    codes = [
        refused(lambda: hostile.sync().PushBatch(many, timeout=SECONDS)),
        refused(lambda: hostile.sync().PushBatch(giant, timeout=SECONDS)),
        refused(lambda: raw(texts, timeout=SECONDS)),
        refused(lambda: raw(b"\xff" * 1000, timeout=SECONDS)),
    ]
    assert grpc.StatusCode.UNAVAILABLE not in codes, "each is told to go away, not to come again"
    assert honest.sync().PushBatch(batch([received(1)]), timeout=SECONDS).ack_sequence == 1
    assert api.get("/api/v1/studies", params={"site": sites[1]}).json()["items"] == []


def test_a_node_that_claims_to_know_more_than_we_do_waits_for_itself_only(honest: Box, hostile: Box) -> None:
    claims = batch([received(1)])
    claims.acknowledged = 2**64 - 1
    assert hostile.sync().PushBatch(claims, timeout=SECONDS).ack_sequence == 0
    assert honest.sync().PushBatch(batch([received(1)]), timeout=SECONDS).ack_sequence == 1
