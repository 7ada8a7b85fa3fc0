"""The commands about groups and layers against a real program."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.control_fixtures import (
    GOOD_POLICY,
    Run,
    RunningControl,
    commands_of_its_admin,
    control_with_sites,
)
from tests.mesh_events import batch, received
from tests.node_box import enrol_box

CT = b"skerry: 1\nroutes:\n  - {name: ct, when: 'Modality == \"CT\"', to: [pacs]}\n"


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningControl]:
    with control_with_sites(tmp_path_factory.mktemp("scopes") / "data") as running:
        yield running


@pytest.fixture
def run(program: RunningControl) -> Run:
    return commands_of_its_admin(program)


def said(run: Run, *words: str) -> Any:
    """What a command says to programs."""
    done = run(*words, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_layers_are_tried_uploaded_published_and_traced_to_their_entries(
    program: RunningControl, run: Run, tmp_path: Path
) -> None:
    files = {name: tmp_path / f"{name}.yaml" for name in ("mesh", "ct", "wrong")}
    files["mesh"].write_bytes(GOOD_POLICY)
    files["ct"].write_bytes(CT)
    files["wrong"].write_bytes(CT.replace(b"[pacs]", b"[pasc]"))
    assert "Nothing was changed" in run("group", "add", "ct", "--dry-run").stdout
    assert said(run, "group", "add", "ct")["sites"] == []
    assert said(run, "group", "add-site", "ct", "north")["sites"] == ["north"]
    assert run("group", "add-site", "ct", "nowhere").returncode == 3
    assert said(run, "layer", "upload", "mesh", str(files["mesh"]))["sites"] == ["north"]
    assert said(run, "layer", "publish", "mesh", "1")["changed"] == ["north"]
    refused = run("layer", "upload", "group/ct", str(files["wrong"]))
    assert refused.returncode == 1
    assert "group/ct:3:" in refused.stderr
    assert "(of north)" in refused.stderr
    assert "1 site under it." in run("layer", "upload", "group/ct", str(files["ct"])).stdout
    assert "It would be" in run("layer", "publish", "group/ct", "1", "--dry-run").stdout
    assert [one["active"] for one in said(run, "layer", "list", "group/ct")] == [False]
    assert "Another policy goes to north." in run("layer", "publish", "group/ct", "1").stdout
    assert run("layer", "show", "group/ct").stdout.encode() == CT
    effective = run("policy", "effective", "north", "--origins").stdout.splitlines()
    assert [line.split()[:2] for line in effective if line.startswith("routes/")] == [
        ["routes/everything", "mesh"],
        ["routes/ct", "group/ct"],
    ]
    enrol_box(program.client(), "north", "box-1")
    node_id = program.client().get("/api/v1/nodes").json()["items"][0]["id"]
    assert said(run, "policy", "effective", "--node", node_id)["layers"] == ["mesh", "group/ct"]
    drift = run("policy", "drift", "--site", "north", "--json")
    assert drift.returncode == 1
    assert [(one["node"], one["why"]) for one in json.loads(drift.stdout)] == [("box-1", "never-heard")]
    files["ct"].write_bytes(CT.replace(b"CT", b"MR"))
    assert run("layer", "upload", "group/ct", str(files["ct"])).returncode == 0
    assert "changed  routes/ct" in run("layer", "diff", "group/ct", "1", "2").stdout
    assert said(run, "group", "remove-site", "ct", "north")["sites"] == []


def test_a_scope_that_is_none_and_a_look_at_nobody_are_refused_with_what_to_write(run: Run) -> None:
    wrong = run("layer", "list", "hospital/ct")
    assert wrong.returncode == 2
    assert "group/NAME" in wrong.stderr
    assert run("layer", "list", "group/none").returncode == 3
    assert "--node ID" in run("policy", "effective").stderr


def test_a_policy_is_previewed_over_what_a_node_told(program: RunningControl, run: Run, tmp_path: Path) -> None:
    proposed, by_age = tmp_path / "proposed.yaml", tmp_path / "by_age.yaml"
    proposed.write_bytes(GOOD_POLICY.replace(b"to: [pacs]", b"when: 'Modality == \"MR\"', to: [pacs]"))
    by_age.write_bytes(GOOD_POLICY.replace(b"to: [pacs]", b"when: 'PatientAge == \"030Y\"', to: [pacs]"))
    api, yaml = program.client(), {"Content-Type": "text/yaml"}
    api.post("/api/v1/sites/south/policies", content=GOOD_POLICY, headers=yaml).raise_for_status()
    api.post("/api/v1/sites/south/policies/1/publish").raise_for_status()
    box = enrol_box(api, "south", "box-2")
    api.close()
    events = []
    for number, modality in enumerate(("CT", "CT", "MR"), start=1):
        event = received(number, study=f"1.9.{number}", tags={"Modality": modality}, at=datetime.now(UTC))
        event.instance_received.policy = "1.1"
        events.append(event)
    box.sync().PushBatch(batch(events), timeout=30)
    told = run("policy", "preview", str(proposed), "--site", "south", "--list", "nowhere")
    assert (told.returncode, told.stderr) == (0, "")
    lines = told.stdout.splitlines()
    assert lines[0] == "3 studies: 2 change destination, 2 match nothing"
    assert sorted(line.split()[0] for line in lines[1::2]) == ["1.9.1", "1.9.2"]
    assert {line.strip() for line in lines[2::2]} == {"pacs -> nowhere"}
    open_ones = said(run, "policy", "preview", str(by_age), "--site", "south", "--since", "2d")
    assert (open_ones["changed"], open_ones["untold"]) == (0, 3)
    assert open_ones["unread"] == [{"keyword": "PatientAge", "studies": 3}]
    assert "PatientAge (3 studies)" in run("policy", "preview", str(by_age)).stdout
    assert run("policy", "preview", str(by_age), "--since", "soon").returncode == 2
    assert run("policy", "preview", str(by_age), "--site", "nowhere").returncode == 3
