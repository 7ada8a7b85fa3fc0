"""`skerry-edge policy explain` and `replay` over what a node holds, while the buffer is open."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edge.buffer.store import Buffer
from edge.cli import app
from edge.errors import SettingsError
from edge.model import Decision, Priority, RoutedInstance, Wait
from edge.policy.document import load_policy
from edge.policy.replay import Before, Comparison
from tests.byte_peer import associated
from tests.edge_door import TunedEdge
from tests.edge_samples import EXPLICIT, data_set, routed, take

DESTINATIONS = """skerry: 1
destinations:
  - {name: pacs, kind: folder, path: /x}
  - {name: archive, kind: folder, path: /y}
"""
NEW = (
    DESTINATIONS
    + """routes:
  - {name: ct, to: [archive], when: 'Modality == "CT" && PatientID == "P1"'}
  - {name: broken, to: [pacs], when: '1 / SeriesNumber > 0'}
"""
)
SAME = DESTINATIONS + "routes: [{name: all, to: [pacs]}, {name: never, to: [archive], when: 'PatientID == \"x\"'}]\n"
URGENT = (
    DESTINATIONS
    + """routes:
  - {name: all, to: [pacs], priority: stat, wait: study}
  - {name: never, to: [archive], when: 'PatientID == "x"'}
"""
)
NONE = DESTINATIONS + "routes: [{name: mr, to: [pacs, archive], when: 'Modality == \"MR\"'}]\n"


@pytest.fixture
def held(tmp_path: Path) -> Iterator[RoutedInstance]:
    buffer = Buffer(tmp_path / "node")
    one = routed(take(buffer), "pacs")
    buffer.admit([one])
    yield one
    buffer.close()


def ask(tmp_path: Path, *words: str) -> str:
    for name, text in (("new", NEW), ("same", SAME), ("none", NONE), ("urgent", URGENT)):
        (tmp_path / f"{name}.yaml").write_text(text)
    words = tuple(str(tmp_path / word) if word.endswith(".yaml") else word for word in words)
    result = CliRunner().invoke(app, ["policy", *words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.usefixtures("held")
@pytest.mark.parametrize(
    ("policy", "line"),
    [
        ("new.yaml", "1 study: 1 change destination, 0 match nothing, 1 fail"),
        ("same.yaml", "1 study: 0 change destination, 0 match nothing"),
        (
            "urgent.yaml",
            "1 study: 0 change destination, 0 match nothing, 1 change priority, 1 change waiting",
        ),
        ("none.yaml", "1 study: 1 change destination, 1 match nothing"),
    ],
)
def test_a_replay_counts_what_a_new_policy_would_change(tmp_path: Path, policy: str, line: str) -> None:
    assert ask(tmp_path, "replay", "--data-dir", str(tmp_path / "node"), "--policy", policy).strip() == line


@pytest.mark.usefixtures("held")
def test_the_studies_of_a_replay_can_be_listed(tmp_path: Path) -> None:
    words = ("replay", "--data-dir", str(tmp_path / "node"), "--policy", "new.yaml")
    text = ask(tmp_path, *words, "--list", "changed")
    assert "1.2.3  1 of 1 instance\n  pacs -> archive" in text
    listed = json.loads(ask(tmp_path, *words, "--list", "failed", "--json"))
    assert listed["failed"] == 1
    assert listed["listed"][0]["reasons"] == [
        "route broken: the condition failed: it divides by zero; without a value here: SeriesNumber"
    ]


def test_a_replay_tells_what_becomes_more_urgent_and_what_begins_or_ceases_to_wait(tmp_path: Path) -> None:
    (tmp_path / "urgent.yaml").write_text(URGENT)
    wait = load_policy(URGENT).routes[0].wait
    assert wait is not None
    buffer = Buffer(tmp_path / "node")
    plain = routed(take(buffer, "1.2.3.1"), "pacs")
    waits = replace(plain.decision, priorities={"pacs": Priority.STAT}, waits={"pacs": wait})
    buffer.admit([plain, replace(routed(take(buffer, "1.2.3.2"), "pacs"), study_instance_uid="1.5", decision=waits)])
    words = ("replay", "--data-dir", str(tmp_path / "node"), "--policy")
    before = json.loads(ask(tmp_path, *words, "urgent.yaml", "--list", "waiting", "--json"))
    assert (before["priority"], before["waiting"], before["changed"]) == (1, 1, 0)
    (study,) = before["listed"]
    assert study["study_instance_uid"] == "1.2.3"
    assert study["turns"] == ["pacs: at once -> when its study is complete", "pacs: normal -> stat"]
    text = ask(tmp_path, *words, "same.yaml", "--list", "priority")
    assert "2 studies: 0 change destination, 0 match nothing, 1 change priority, 1 change waiting" in text
    assert "1.5  1 of 1 instance\n  pacs -> pacs\n  pacs: stat -> normal\n  pacs: waited -> at once" in text
    assert "goes to    pacs, stat, when its study is complete" in ask(
        tmp_path, "explain", "1.5", "--policy", "urgent.yaml", "--data-dir", str(tmp_path / "node")
    )
    buffer.close()


def test_what_names_no_study_waits_for_none_and_is_no_difference() -> None:
    decision = Decision(
        policy="new",
        outcomes=(),
        destinations=("pacs",),
        waits={"pacs": Wait(route="all", scope="study", quiet=timedelta(60), at_most=timedelta(90))},
    )
    compared = Comparison()
    compared.add("1", Before(destinations=frozenset({"pacs"}), scopes=frozenset()), decision)
    compared.add("2", Before(destinations=frozenset({"pacs"}), waited=frozenset({"pacs"})), decision)
    assert compared.count("waiting") == 0


def test_what_the_node_holds_is_explained_without_its_values(tmp_path: Path, held: RoutedInstance) -> None:
    words = ("--policy", "new.yaml", "--data-dir", str(tmp_path / "node"))
    for uid in ("1.2.3", held.sealed.sop_instance_uid, held.sealed.instance_id):
        text = ask(tmp_path, "explain", uid, *words)
        assert "route      ct: yes, the condition is true" in text
        assert "goes to    archive, normal" in text
        assert "P1" not in text
    shown = json.loads(ask(tmp_path, "explain", "1.2.3", *words, "--show-values", "--json"))[0]
    assert shown["values"]["PatientID"] == "P1"
    assert shown["values"]["calling_ae_title"] == "SCANNER"
    assert "StudyInstanceUID" not in shown["values"]  # no rule reads it


def test_a_part_10_file_is_explained_as_if_somebody_sent_it(tmp_path: Path) -> None:
    syntax = EXPLICIT.encode() + b"\0"
    group = b"\x02\0\x10\0UI" + len(syntax).to_bytes(2, "little") + syntax
    head = bytes(128) + b"DICM" + b"\x02\0\0\0UL\x04\0" + len(group).to_bytes(4, "little") + group
    (tmp_path / "one.dcm").write_bytes(head + data_set())
    policy = tmp_path / "by-sender.yaml"
    policy.write_text(DESTINATIONS + "routes: [{name: ct, to: [pacs, archive], when: 'calling_ae_title == \"CT9\"'}]\n")
    words = ("explain", str(tmp_path / "one.dcm"), "--policy", str(policy))
    assert "nowhere    no route takes it" in ask(tmp_path, *words)
    assert "goes to    pacs" in ask(tmp_path, *words, "--calling", "CT9")


def test_what_a_running_node_does_is_explained_by_the_policy_that_it_was_started_with(tmp_path: Path) -> None:
    with TunedEdge(tmp_path / "node", to=["PACS@127.0.0.1:9"]) as edge:
        with associated(edge.dicom_port) as peer:
            assert peer.store("1.2.3.1", data_set("1.2.3.1")) == 0x0000
        edge.wait(lambda: edge.facts()["instances_held"] == 1, "it has no row")
        told = json.loads(edge.command("policy", "explain", "1.2.3.1", "--json"))
        assert [one["name"] for one in told[0]["destinations"]] == ["PACS"]
        assert told[0]["policy"] == edge.facts()["policy"]
    assert "goes to    PACS" in edge.command("policy", "explain", "1.2.3.1")  # also when it does not run just now


def test_without_any_policy_it_is_said_how_to_give_one(tmp_path: Path) -> None:
    (tmp_path / "node").mkdir()
    (tmp_path / "one.dcm").touch()
    result = CliRunner().invoke(app, ["policy", "explain", str(tmp_path / "one.dcm"), "--data-dir", str(tmp_path)])
    assert isinstance(result.exception, SettingsError)
    assert "with --policy" in result.exception.hint
