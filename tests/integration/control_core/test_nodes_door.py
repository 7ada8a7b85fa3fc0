"""The gRPC door of the real program: mutual TLS, one identity from the certificate, revocation on every call."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import httpx2
import pytest
from cryptography import x509

from control.enrolment.ca import NodeName, read_csr
from control.enrolment.ca_files import load_or_create
from edge.errors import UplinkRefused
from edge.sync.enrol import enrol
from edge.sync.identity import key_matches, new_key
from edge.sync.recover import recover
from mesh.v1 import common_pb2, enrolment_pb2, enrolment_pb2_grpc, sync_pb2, sync_pb2_grpc
from tests.control_fixtures import GOOD_POLICY, RunningControl
from tests.node_box import Box, enrol_box, new_box_key

SECONDS = 15.0


@pytest.fixture
def api(control: RunningControl) -> httpx2.Client:
    return control.client()


@pytest.fixture
def site(api: httpx2.Client) -> str:
    name = f"d-{uuid.uuid4().hex[:8]}"
    api.post("/api/v1/sites", json={"name": name}).raise_for_status()
    return name


@pytest.fixture
def box(api: httpx2.Client, site: str) -> Box:
    return enrol_box(api, site, "box-1")


def publish(api: httpx2.Client, site: str) -> int:
    version: int = api.post(f"/api/v1/sites/{site}/policies", content=GOOD_POLICY).raise_for_status().json()["version"]
    api.post(f"/api/v1/sites/{site}/policies/{version}/publish").raise_for_status()
    return version


def status_of(call: Callable[[], Any]) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    error: Any = caught.value
    return error.code(), error.details()


def place(generation: int, version: int) -> common_pb2.PolicyVersion:
    return common_pb2.PolicyVersion(generation=generation, version=version)


def test_a_published_policy_reaches_a_waiting_node_at_once(api: httpx2.Client, site: str, box: Box) -> None:
    with ThreadPoolExecutor(1) as waiting:
        poll = waiting.submit(box.sync().PullPolicy, sync_pb2.PullPolicyRequest(wait_seconds=10), timeout=SECONDS)
        time.sleep(0.5)
        began = time.monotonic()
        publish(api, site)
        policy = poll.result(timeout=SECONDS).policy
    assert time.monotonic() - began < 5
    assert (policy.site, policy.version, policy.document) == (site, place(1, 1), GOOD_POLICY)
    have = sync_pb2.PullPolicyRequest(have=place(1, 1), have_sha256=policy.sha256)
    assert not box.sync().PullPolicy(have, timeout=SECONDS).HasField("policy")


def test_a_status_report_is_seen_in_the_fleet(api: httpx2.Client, site: str, box: Box) -> None:
    publish(api, site)
    report = sync_pb2.ReportStatusRequest(
        boot_id="boot",
        epoch=2**64 - 1,
        software_version="0.1.0",
        policy=sync_pb2.PolicyStatus(
            attempt=place(1, 1), attempt_state=sync_pb2.ATTEMPT_STATE_REJECTED, error="line 4, column 2: no such peer"
        ),
        conditions=[sync_pb2.HealthCondition(code="spool-full", severity="high", text="No room.", hint="Free some.")],
        deliveries_waiting=2**64 - 1,
        deliveries_parked=3,
        dicom_endpoint="10.0.0.1:104",
    )
    answer = box.sync().ReportStatus(report, timeout=SECONDS)
    assert abs(answer.server_time.ToDatetime(tzinfo=UTC) - datetime.now(UTC)) < timedelta(seconds=30)
    assert not answer.clone_suspected
    fleet = api.get("/api/v1/fleet", params={"limit": 1000}).json()["items"]
    (shown,) = [one for one in fleet if one["site"] == site]
    (node,) = shown["nodes"]
    assert (node["state"], node["policy_state"], shown["deliveries_parked"]) == ("online", "rejected", 3)
    assert node["age_seconds"] < 30
    assert node["report"]["epoch"] == "f" * 16
    assert [one["code"] for one in node["report"]["conditions"]] == ["spool-full"]
    (version,) = api.get(f"/api/v1/sites/{site}/policies").json()["items"]
    assert [(one["state"], one["error"]) for one in version["answers"]] == [
        ("rejected", "line 4, column 2: no such peer")
    ]


def test_a_report_with_strange_content_is_kept(api: httpx2.Client, site: str, box: Box) -> None:
    report = sync_pb2.ReportStatusRequest(
        boot_id="b" * 500,
        software_version="\0" * 9 + "v",
        conditions=[sync_pb2.HealthCondition(code="c" * 999, text="x\0y")] * 200,
    )
    report.node_time.seconds = 2**62
    box.sync().ReportStatus(report, timeout=SECONDS)
    (node,) = api.get("/api/v1/nodes", params={"site": site}).json()["items"]
    assert node["report"]["software_version"] == "v"
    assert node["report"]["node_time"] is None


def test_two_boxes_with_one_identity_are_told(api: httpx2.Client, site: str, box: Box) -> None:
    answers = [
        box.sync().ReportStatus(sync_pb2.ReportStatusRequest(boot_id=one), timeout=SECONDS).clone_suspected
        for one in "ABA"
    ]
    assert answers == [False, False, True]
    (node,) = api.get("/api/v1/nodes", params={"site": site}).json()["items"]
    assert node["report"]["conditions"][0]["code"] == "identity-cloned"
    assert any(row["action"] == "node.clone_suspected" for row in api.get("/api/v1/audit").json()["items"])


def test_a_revoked_node_is_refused_on_every_call(api: httpx2.Client, site: str, box: Box) -> None:
    channel = box.channel()
    sync, identity = sync_pb2_grpc.EdgeSyncStub(channel), enrolment_pb2_grpc.IdentityStub(channel)
    sync.PullPolicy(sync_pb2.PullPolicyRequest(), timeout=SECONDS)
    api.post(f"/api/v1/nodes/{box.answer.node_id}/revoke").raise_for_status()
    calls: list[Callable[[], Any]] = [
        lambda: sync.PullPolicy(sync_pb2.PullPolicyRequest(), timeout=SECONDS),
        lambda: sync.ReportStatus(sync_pb2.ReportStatusRequest(), timeout=SECONDS),
        lambda: sync.PushBatch(sync_pb2.PushBatchRequest(), timeout=SECONDS),
        lambda: identity.Renew(enrolment_pb2.RenewRequest(csr_pem=new_box_key().csr_pem), timeout=SECONDS),
    ]
    for call in calls:
        code, details = status_of(call)
        assert code is grpc.StatusCode.PERMISSION_DENIED
        assert details.startswith("NODE_REVOKED")


def test_a_node_that_is_revoked_while_it_waits_is_not_given_what_comes(api: httpx2.Client, site: str, box: Box) -> None:
    with ThreadPoolExecutor(1) as pool:
        request = sync_pb2.PullPolicyRequest(wait_seconds=20)
        waits = pool.submit(status_of, lambda: box.sync().PullPolicy(request, timeout=SECONDS + 20))
        time.sleep(0.5)
        assert not waits.done()
        api.post(f"/api/v1/nodes/{box.answer.node_id}/revoke").raise_for_status()
        publish(api, site)
        code, details = waits.result(timeout=30)
    assert code is grpc.StatusCode.PERMISSION_DENIED
    assert details.startswith("NODE_REVOKED")


def test_a_renewed_certificate_opens_the_door_for_a_new_key(box: Box) -> None:
    made = new_box_key()
    renewed = box.identity().Renew(enrolment_pb2.RenewRequest(csr_pem=made.csr_pem), timeout=SECONDS)
    channel = box.channel(certificate_pem=renewed.certificate_pem, key_pem=made.key_pem)
    sync_pb2_grpc.EdgeSyncStub(channel).PullPolicy(sync_pb2.PullPolicyRequest(), timeout=SECONDS)
    names = x509.load_pem_x509_certificate(renewed.certificate_pem).extensions
    assert box.answer.node_id in str(names.get_extension_for_class(x509.SubjectAlternativeName).value)


def test_a_renewal_with_garbage_is_refused(box: Box) -> None:
    code, details = status_of(
        lambda: box.identity().Renew(enrolment_pb2.RenewRequest(csr_pem=b"garbage"), timeout=SECONDS)
    )
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert details.startswith("INVALID_CSR")


def test_a_certificate_of_another_mesh_does_not_pass_the_handshake(box: Box, site: str, tmp_path: Path) -> None:
    other = load_or_create(tmp_path / "ca", None, datetime.now(UTC)).authority
    made = new_box_key()
    name = NodeName(mesh=other.mesh, site=site, node_id=box.answer.node_id)
    forged = other.sign_node(read_csr(made.csr_pem), name, datetime.now(UTC))
    channel = box.channel(certificate_pem=forged.pem, key_pem=made.key_pem)
    code, _ = status_of(
        lambda: sync_pb2_grpc.EdgeSyncStub(channel).PullPolicy(sync_pb2.PullPolicyRequest(), timeout=SECONDS)
    )
    assert code is grpc.StatusCode.UNAVAILABLE


def test_a_caller_without_a_certificate_does_not_pass_the_handshake(box: Box) -> None:
    credentials = grpc.ssl_channel_credentials(root_certificates=box.answer.ca_pem)
    channel = grpc.secure_channel(box.answer.grpc_endpoint, credentials)
    code, _ = status_of(
        lambda: sync_pb2_grpc.EdgeSyncStub(channel).PullPolicy(sync_pb2.PullPolicyRequest(), timeout=SECONDS)
    )
    assert code is grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize("end", ["expired", "not yet valid"])
def test_a_certificate_outside_its_time_does_not_pass_the_handshake(
    control: RunningControl, box: Box, site: str, end: str
) -> None:
    authority = load_or_create(control.data_dir / "ca", None, datetime.now(UTC)).authority
    made = new_box_key()
    name = NodeName(mesh=authority.mesh, site=site, node_id=box.answer.node_id)
    shift = timedelta(days=-31) if end == "expired" else timedelta(days=2)
    issued = authority.sign_node(read_csr(made.csr_pem), name, datetime.now(UTC) + shift)
    channel = box.channel(certificate_pem=issued.pem, key_pem=made.key_pem)
    code, _ = status_of(
        lambda: sync_pb2_grpc.EdgeSyncStub(channel).PullPolicy(sync_pb2.PullPolicyRequest(), timeout=SECONDS)
    )
    assert code is grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize("change", ["another site", "an id that was never given", "a service"])
def test_a_certificate_of_this_mesh_that_names_no_node_of_it_is_refused(
    control: RunningControl, box: Box, site: str, change: str
) -> None:
    authority = load_or_create(control.data_dir / "ca", None, datetime.now(UTC)).authority
    made, now = new_box_key(), datetime.now(UTC)
    csr = read_csr(made.csr_pem)
    if change == "a service":
        key: Any = csr.public_key()
        issued = authority.sign_service(key, "control", now)
    else:
        node_id = "f" * 16 if change.startswith("an id") else box.answer.node_id
        name = NodeName(mesh=authority.mesh, site="elsewhere" if change == "another site" else site, node_id=node_id)
        issued = authority.sign_node(csr, name, now)
    channel = box.channel(certificate_pem=issued.pem, key_pem=made.key_pem)
    code, details = status_of(
        lambda: sync_pb2_grpc.EdgeSyncStub(channel).ReportStatus(sync_pb2.ReportStatusRequest(), timeout=SECONDS)
    )
    assert code is grpc.StatusCode.PERMISSION_DENIED
    assert details.startswith("UNKNOWN_NODE")


def test_an_edge_gets_a_certificate_for_its_bound_key_without_showing_the_ended_one(
    api: httpx2.Client, site: str, tmp_path: Path
) -> None:
    token = api.post(f"/api/v1/sites/{site}/tokens").raise_for_status().json()["token"]
    identity = enrol(tmp_path, token, "box-2")
    answer = recover(identity)
    assert key_matches(identity.key_pem, answer.certificate_pem)
    assert answer.https_endpoint == identity.https_endpoint
    stranger_key, _ = new_key()
    with pytest.raises(UplinkRefused):
        recover(replace(identity, key_pem=stranger_key))
    api.post(f"/api/v1/nodes/{identity.node_id}/revoke").raise_for_status()
    with pytest.raises(UplinkRefused, match="revoked"):
        recover(identity)
