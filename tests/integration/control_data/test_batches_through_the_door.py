"""PushBatch on the gRPC door of the real program: who pushes is known from the certificate alone."""

from __future__ import annotations

import uuid
from typing import Any

import grpc
import httpx2
import pytest

from tests.control_fixtures import RunningControl
from tests.mesh_events import batch, changed, received
from tests.node_box import Box, enrol_box

SECONDS = 15.0


@pytest.fixture
def api(control: RunningControl) -> httpx2.Client:
    return control.client()


@pytest.fixture
def site(api: httpx2.Client) -> str:
    name = f"p-{uuid.uuid4().hex[:8]}"
    api.post("/api/v1/sites", json={"name": name}).raise_for_status()
    return name


@pytest.fixture
def box(api: httpx2.Client, site: str) -> Box:
    return enrol_box(api, site, "box-1")


def test_a_pushed_image_is_found_at_its_site_and_node(api: httpx2.Client, site: str, box: Box) -> None:
    study = f"1.{uuid.uuid4().int}"
    events = [received(1, study=study), changed(2, 1, "delivered", study=study, attempts=1)]
    for _ in range(2):
        assert box.sync().PushBatch(batch(events), timeout=SECONDS).ack_sequence == 2
    found = api.get("/api/v1/studies", params={"site": site}).raise_for_status().json()
    (item,) = found["items"]
    assert (item["study_instance_uid"], item["received"], item["delivered"]) == (study, 1, 1)
    (heard,) = [one for one in found["sites_heard"] if one["site"] == site]
    assert heard["state"] == "online"
    assert heard["age_seconds"] < 30
    trace = api.get(f"/api/v1/studies/{study}/trace").raise_for_status().json()
    assert [one["node_name"] for one in trace["instances"]] == ["box-1"]


def test_an_invalid_event_is_refused_by_its_sequence_and_moves_no_ack(box: Box) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        box.sync().PushBatch(batch([received(1), changed(2, 1, "lost")]), timeout=SECONDS)
    error: Any = caught.value
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "event 2" in error.details()
    assert box.sync().PushBatch(batch([]), timeout=SECONDS).ack_sequence == 0


def test_a_revoked_node_pushes_nothing(api: httpx2.Client, site: str, box: Box) -> None:
    (node,) = api.get("/api/v1/nodes", params={"site": site}).json()["items"]
    api.post(f"/api/v1/nodes/{node['id']}/revoke").raise_for_status()
    with pytest.raises(grpc.RpcError) as caught:
        box.sync().PushBatch(batch([received(1)]), timeout=SECONDS)
    error: Any = caught.value
    assert error.code() is grpc.StatusCode.PERMISSION_DENIED
    assert api.get("/api/v1/studies", params={"site": site}).json()["items"] == []
