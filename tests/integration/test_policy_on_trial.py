"""`skerry-edge policy explain` and `replay` over what a node holds, while the buffer is open."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edge.buffer.store import Buffer
from edge.cli import app
from edge.model import RoutedInstance
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
NONE = DESTINATIONS + "routes: [{name: mr, to: [pacs, archive], when: 'Modality == \"MR\"'}]\n"


@pytest.fixture
def held(tmp_path: Path) -> Iterator[RoutedInstance]:
    buffer = Buffer(tmp_path / "node")
    one = routed(take(buffer), "pacs")
    buffer.admit([one])
    yield one
    buffer.close()


def ask(tmp_path: Path, *words: str) -> str:
    for name, text in (("new", NEW), ("same", SAME), ("none", NONE)):
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
