"""The composed mesh of real processes: control plane, broker, two sites, their PACS, and a modality."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import httpx2
import pytest

from provisioning.demo.ledger import Ledger
from provisioning.errors import CommandFailed
from provisioning.local.control import Control
from provisioning.local.dcmsend import send
from provisioning.local.edge import Edge
from provisioning.local.images import Image, prepare, shipped_files
from provisioning.local.mesh import NORTH_AND_SOUTH, Mesh
from tests.conftest import Figures
from tests.e2e.newer_centre import publish_what_this_version_cannot_run
from tests.real_programs import require

# One node after the other changes the mesh: all of these run in one worker (`make test` gives each file to one).
pytestmark = pytest.mark.timeout(180)

NAMES = (
    "CT_small.dcm",
    "MR_small.dcm",
    "JPEG2000.dcm",
    "image_dfl.dcm",
    "SC_rgb_rle.dcm",
    "rtplan.dcm",
    "reportsi.dcm",
    "waveform_ecg.dcm",
    "chrH31.dcm",
)
"""Uncompressed, three ways compressed, deflated; images, a plan, a report, a waveform; a name in Japanese."""


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    require("storescp", "dcmsend", "mosquitto")
    with Mesh(tmp_path_factory.mktemp("mesh")) as mesh:
        mesh.start_centre()
        for plan in NORTH_AND_SOUTH:
            mesh.add_site(plan)
        mesh.wait_until_in_force()
        yield mesh


@pytest.fixture
def images(tmp_path: Path) -> Sequence[Image]:
    batch = prepare((path for path in shipped_files() if path.name in NAMES), tmp_path / "images", fresh=True)
    assert len(batch.images) == len(NAMES)
    return batch.images


def until(done: Callable[[], bool], *, seconds: float = 45.0) -> bool:
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def hand_over(images: Sequence[Image], node: Edge) -> None:
    report = send([image.path for image in images], port=node.dicom_port, called=node.name.upper())
    assert len(report.succeeded) == len(images), report.failed


def node_named(mesh: Mesh, name: str) -> Edge:
    (found,) = (node for node in mesh.nodes if node.name == name)
    return found


def in_the_pacs(mesh: Mesh, site: str, ledger: Ledger) -> Callable[[], bool]:
    def look() -> bool:
        ledger.note_pacs(site, mesh.sites[site].pacs.received())
        return ledger.tally().lost == 0

    return look


def in_the_search(mesh: Mesh, ledger: Ledger) -> Callable[[], bool]:
    def look() -> bool:
        ledger.note_search(mesh.api.every("/instances"))
        return ledger.tally().whole

    return look


def test_an_image_travels_from_the_modality_to_the_pacs_and_is_seen_at_the_centre(
    mesh: Mesh, images: Sequence[Image]
) -> None:
    ledger = Ledger()
    ledger.note_sent("north", images)
    hand_over(images, node_named(mesh, "north-1"))
    assert until(in_the_pacs(mesh, "north", ledger)), ledger.missing()
    assert until(in_the_search(mesh, ledger)), ledger.missing()


def test_the_trace_of_a_study_tells_from_whom_it_came_and_where_it_went(mesh: Mesh, images: Sequence[Image]) -> None:
    (image,) = (image for image in images if image.path.name.endswith("CT_small.dcm"))
    ledger = Ledger()
    ledger.note_sent("south", [image])
    hand_over([image], node_named(mesh, "south-1"))
    assert until(in_the_pacs(mesh, "south", ledger)), ledger.missing()
    assert until(in_the_search(mesh, ledger)), ledger.missing()
    (found,) = mesh.api.every("/instances", sop_instance_uid=image.sop_instance_uid)
    assert (found["calling_ae_title"], found["called_ae_title"], found["node_name"]) == (
        "MODALITY",
        "SOUTH-1",
        "south-1",
    )
    assert [(one["destination"], one["state"]) for one in found["deliveries"]] == [("pacs", "delivered")]
    assert sorted((one["route"], one["matched"]) for one in found["reasons"]) == [
        ("everything-else", False),
        ("tomography", True),
    ]


def test_an_operator_at_the_centre_holds_and_releases_what_a_node_has(mesh: Mesh, images: Sequence[Image]) -> None:
    image, node, pacs = images[0], node_named(mesh, "south-1"), mesh.sites["south"].pacs
    ledger = Ledger()
    ledger.note_sent("south", [image])
    pacs.stop()
    try:
        hand_over([image], node)
        assert until(lambda: node.facts()["deliveries_waiting"] >= 1)
        held = mesh.control.ask("command", "ask", "south-1", "hold", f"uid={image.sop_instance_uid}", "--wait", "30")
        assert (held["state"], held["result"]) == ("done", {"matching": 1, "done": 1})
        assert until(lambda: node.facts()["deliveries_held"] == 1)
    finally:
        pacs.start()
    assert not until(in_the_pacs(mesh, "south", ledger), seconds=2), "what is held was sent"
    mesh.control.command("command", "ask", "south-1", "release", f"uid={image.sop_instance_uid}", "--wait", "30")
    assert until(in_the_pacs(mesh, "south", ledger)), ledger.missing()
    echo = mesh.control.ask("command", "ask", "south-1", "echo", "destination=pacs", "--wait", "30")
    assert (echo["state"], echo["result"]["answers"][0]["kind"]) == ("done", "answered")
    with pytest.raises(CommandFailed, match="no such destination"):
        mesh.control.command("command", "ask", "south-1", "release", "destination=nowhere", "--wait", "30")


def test_a_node_is_taken_out_of_service_from_the_centre_and_its_log_is_read_there(
    mesh: Mesh, images: Sequence[Image]
) -> None:
    node, ledger = node_named(mesh, "south-1"), Ledger()
    with pytest.raises(CommandFailed, match="even-alone"):
        mesh.control.command("node", "drain", "south-1")
    drained = mesh.control.ask("node", "drain", "south-1", "--even-alone", "--reason", "new disk")
    assert drained["state"] == "done"
    with pytest.raises(CommandFailed, match="Association Rejected"):
        send([images[0].path], port=node.dicom_port, called="SOUTH-1")
    assert until(lambda: "draining" in mesh.control.command("node", "show", "south-1")), "nobody is told of it"
    lines = mesh.control.ask("node", "log", "south-1", "--level", "warning")["result"]["lines"]
    assert any(one.get("reason") == "rejected-draining" for one in lines)
    assert "rejected-draining" in mesh.control.command("node", "log", "south-1", "--lines", "200")
    assert mesh.control.ask("node", "drain", "south-1", "--end")["state"] == "done"
    ledger.note_sent("south", images[:1])
    hand_over(images[:1], node)
    assert until(in_the_pacs(mesh, "south", ledger)), ledger.missing()


def test_an_outage_drill_cuts_a_site_off_and_says_that_nothing_was_lost(
    mesh: Mesh, images: Sequence[Image], figures: Figures
) -> None:
    ledger = Ledger()
    ledger.note_sent("north", images)
    drill = mesh.control.ask("command", "ask", "north-1", "outage-drill", "seconds=4")
    assert until(lambda: mesh.control.ask("command", "show", drill["id"])["state"] == "accepted", seconds=20)
    hand_over(images, node_named(mesh, "north-1"))
    assert until(lambda: mesh.control.ask("command", "show", drill["id"])["state"] == "done", seconds=60)
    ended = mesh.control.ask("command", "show", drill["id"])
    assert ended["result"]["cut_seconds"] >= 4
    assert ended["result"]["events_kept_meanwhile"] >= len(images)
    assert until(in_the_pacs(mesh, "north", ledger)), ledger.missing()
    assert until(in_the_search(mesh, ledger)), ledger.missing()
    figures(f"outage drill: {ended['text']} lost 0")
    bundle = mesh.control.ask("command", "ask", "north-1", "support-bundle", "--wait", "30")
    assert bundle["result"]["version"]


def test_the_figures_of_every_node_stand_under_one_address_for_who_may_see_them(mesh: Mesh) -> None:
    key = mesh.control.ask("api-key", "create", "prometheus", "--role", "viewer", "--site", "north")["key"]

    def scraped(path: str, **headers: str) -> str:
        return httpx2.get(f"{mesh.control.url}{path}", headers=headers).raise_for_status().text

    login = {"authorization": f"Bearer {key}"}
    accepted = 'skerry_edge_instances_accepted_total{site="north",node="north-1"}'
    assert until(lambda: accepted in scraped("/metrics", **login), seconds=30)
    assert 'site="south"' not in scraped("/metrics", **login)
    assert "skerry_control_http_requests_total" in scraped("/metrics")
    assert "skerry_edge_" not in scraped("/metrics")
    shown = mesh.control.command("node", "show", "north-1")
    assert "north-1 of north: online" in shown
    assert "policy       1.1" in shown
    (target,) = httpx2.get(f"{mesh.control.url}/api/v1/prometheus/targets", headers=login).json()
    assert target["labels"]["__param_site"] == "north"
    assert accepted in scraped(f"{target['labels']['__metrics_path__']}?site=north", **login)


def test_a_site_delivers_while_the_centre_is_down_and_the_centre_catches_up(
    mesh: Mesh, images: Sequence[Image]
) -> None:
    ledger = Ledger()
    ledger.note_sent("south", images)
    mesh.control.stop()
    try:
        hand_over(images, node_named(mesh, "south-1"))
        assert until(in_the_pacs(mesh, "south", ledger)), ledger.missing()
    finally:
        mesh.control.start()
    assert until(in_the_search(mesh, ledger), seconds=90), ledger.missing()


def test_a_node_that_boots_without_centre_broker_and_wan_delivers_by_its_last_good_policy(
    mesh: Mesh, images: Sequence[Image], figures: Figures
) -> None:
    node = node_named(mesh, "north-2")
    ledger = Ledger()
    ledger.note_sent("north", images)
    mesh.control.stop()
    assert mesh.broker is not None
    mesh.broker.stop()
    node.kill()  # as a power cut would
    try:
        node.start()
        hand_over(images, node)
        assert until(in_the_pacs(mesh, "north", ledger)), ledger.missing()
        assert node.facts()["ready"]
        assert node.facts()["policy"] is not None
        figures(f"cold boot: centre and broker off, policy {node.facts()['policy']}, delivered {len(images)}, lost 0")
    finally:
        mesh.broker.start()
        mesh.control.start()
    assert until(in_the_search(mesh, ledger), seconds=90), ledger.missing()


def test_a_policy_that_a_node_cannot_run_is_shown_at_the_centre_while_the_old_one_runs(
    mesh: Mesh, images: Sequence[Image]
) -> None:
    before = mesh.node_at_centre("south-1")["report"]["active"]
    mesh.control.stop()
    publish_what_this_version_cannot_run(mesh.control.data_dir, site="south")
    mesh.control.start()
    assert until(lambda: mesh.node_at_centre("south-1")["policy_state"] == "rejected", seconds=90)
    report = mesh.node_at_centre("south-1")["report"]
    assert report["active"] == before
    assert "teleport" in report["attempt_error"]
    assert "line" in report["attempt_error"]

    ledger = Ledger()
    ledger.note_sent("south", images)
    hand_over(images, node_named(mesh, "south-1"))
    assert until(in_the_pacs(mesh, "south", ledger)), ledger.missing()


def test_a_mended_policy_replaces_the_refused_one_at_once(mesh: Mesh) -> None:
    mesh.control.command("policy", "publish", "south", str(mesh.sites["south"].policy_file))
    # Within seconds: the nudge over MQTT, or the long poll, brings it.
    assert until(lambda: mesh.node_at_centre("south-1")["policy_state"] == "applied", seconds=20)


def test_a_token_works_once(mesh: Mesh, tmp_path: Path) -> None:
    token = mesh.new_token("north", tmp_path / "token")
    Edge(tmp_path / "first", name="north-8").enrol(token)
    with pytest.raises(CommandFailed, match="used"):
        Edge(tmp_path / "second", name="north-9").enrol(token)


def test_a_node_of_another_mesh_is_refused_says_so_and_goes_on_with_its_images(
    mesh: Mesh, images: Sequence[Image], tmp_path: Path
) -> None:
    pacs = mesh.sites["north"].pacs
    stranger = Edge(tmp_path / "stranger", name="stranger", to=[pacs.address])
    with Control(tmp_path / "other", name="other-control") as other:
        other.command("site", "add", "elsewhere")
        token = tmp_path / "token"
        token.write_text(other.ask("token", "create", "elsewhere")["token"])
        stranger.enrol(token)
    identity = stranger.data_dir / "identity" / "node.json"
    facts = json.loads(identity.read_text())
    identity.write_text(json.dumps({**facts, "grpc_endpoint": f"127.0.0.1:{mesh.control.grpc_port}"}))
    ledger = Ledger()
    ledger.note_sent("north", images)
    with stranger:
        hand_over(images, stranger)
        assert until(lambda: "control-plane-unreachable" in stranger.conditions(), seconds=30)
        assert "mesh" in stranger.conditions()["control-plane-unreachable"]
        assert until(in_the_pacs(mesh, "north", ledger)), ledger.missing()
        # What happened here is told to no centre, and kept.
        assert stranger.facts()["outbox_events"] >= 2 * len(images)
    assert not [site for site in mesh.fleet() for node in site["nodes"] if node["name"] == "stranger"]


def test_two_nodes_with_one_identity_are_reported_on_both_sides(mesh: Mesh, tmp_path: Path) -> None:
    original = node_named(mesh, "north-1")
    copied = tmp_path / "clone"
    copied.mkdir()
    for part in original.data_dir.iterdir():
        if part.name.startswith("identity") or part.name == "policy":
            if part.is_symlink():
                (copied / part.name).symlink_to(part.readlink())
            else:
                shutil.copytree(part, copied / part.name, symlinks=True)
    clone = Edge(copied, name="clone", ae_title="NORTH-1")
    with clone:
        assert until(lambda: bool(mesh.node_at_centre("north-1")["clone_suspected"]), seconds=90)
        report = mesh.node_at_centre("north-1")["report"]
        assert "identity-cloned" in {condition["code"] for condition in report["conditions"]}
        assert until(lambda: "identity-in-use-twice" in {**original.conditions(), **clone.conditions()}, seconds=90)
