"""A whole node and the people beside it: what cannot be sent is mended and released, and what waits is moved."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edge.transform.apply import coding_of
from provisioning.errors import CommandFailed
from provisioning.local.storescp import StoreScp
from tests.edge_door import TunedEdge
from tests.edge_samples import EXPLICIT, data_set
from tests.real_programs import require
from tests.scu import association, store
from tests.transforming import read

POLICY = """\
skerry: 1
destinations:
  - {{name: pacs, kind: dicom, ae_title: PACS, host: 127.0.0.1, port: {port}, transforms: [ids]}}
  - {{name: archive, kind: folder, path: {archive}}}
transforms:
  - name: ids
    steps:
      - map: {{tag: PatientID, table: {{P1: SUBJECT-1}}}}
routes:
  - {{name: all, to: [pacs]}}
  - {{name: never, when: 'Modality == "MG"', to: [archive]}}
"""
STEPS = """\
- set: {tag: PatientID, value: P1}
- set: {tag: InstitutionName, value: Main}
"""
UNKNOWN = b"P7"


@contextmanager
def _site(tmp_path: Path) -> Iterator[tuple[TunedEdge, StoreScp]]:
    """A node whose PACS takes no patient that it does not know."""
    require("storescp")
    (tmp_path / "archive").mkdir()
    (tmp_path / "steps.yaml").write_text(STEPS, encoding="utf-8")
    with StoreScp(tmp_path / "pacs") as pacs:
        policy = tmp_path / "policy.yaml"
        port = pacs.address.rpartition(":")[2]
        policy.write_text(POLICY.format(port=port, archive=tmp_path / "archive"), encoding="utf-8")
        with TunedEdge(tmp_path, policy=policy) as edge:
            yield edge, pacs


def _strange(uid: str) -> bytes:
    return data_set(uid).replace(b"P1", UNKNOWN)


def _send(edge: TunedEdge, *uids: str) -> None:
    with association(edge.dicom_port) as peer:
        for number, uid in enumerate(uids, 1):
            assert store(peer, uid, _strange(uid), message_id=number) == 0x0000


def _wait(edge: TunedEdge, field: str, value: int) -> None:
    edge.wait(lambda: bool(edge.ask("status")["buffer"][field] == value), f"{field} is not {value}", seconds=30)


def _quarantine(edge: TunedEdge, *uids: str) -> None:
    _send(edge, *uids)
    _wait(edge, "deliveries_quarantined", len(uids))


def test_only_the_chosen_object_is_mended_and_no_value_is_shown_unasked(tmp_path: Path) -> None:
    with _site(tmp_path) as (edge, pacs):
        _quarantine(edge, "1.2.3.1", "1.2.3.2")
        fix = ("fix", "1.2.3.1", "--steps", str(tmp_path / "steps.yaml"))
        shown = edge.command(*fix, "--dry-run")
        assert "PatientID" in shown
        assert "InstitutionName" in shown
        assert "P7" not in shown
        assert "P7" in edge.command(*fix, "--dry-run", "--show-values")
        assert edge.ask("status")["buffer"]["deliveries_quarantined"] == 2
        assert edge.ask(*fix)["fixed"] == 1
        edge.wait(lambda: set(pacs.received()) == {"1.2.3.1"}, "the mended object never came", seconds=30)
        sent = read(pacs.received()["1.2.3.1"].data_set, coding_of(EXPLICIT))
        assert (sent.PatientID, sent.InstitutionName) == ("SUBJECT-1", "Main")
        assert edge.stored("1.2.3.1").data_set == _strange("1.2.3.1")
        _wait(edge, "deliveries_waiting", 0)
        assert edge.ask("status")["buffer"]["standings"] == {
            **dict.fromkeys(("waiting", "parked", "ended"), 0),
            "quarantined": 1,
            "delivered": 1,
        }
        edge.wait(
            lambda: edge.metric("skerry_edge_instances_by_standing", standing="quarantined") == 1,
            "the metric does not follow",
        )
        (deed,) = edge.ask("audit")
        assert (deed["action"], deed["deliveries"], deed["choice"]) == ("fix", 1, {"uid": "1.2.3.1"})
        assert deed["who"]
        assert deed["reason"] == "set of PatientID, set of InstitutionName"
        assert "P7" not in edge.log_text()


def test_steps_that_cannot_be_done_change_and_release_nothing(tmp_path: Path) -> None:
    with _site(tmp_path) as (edge, pacs):
        _quarantine(edge, "1.2.3.1")
        (tmp_path / "steps.yaml").write_text("- map: {tag: PatientID, table: {P8: P1}}\n", encoding="utf-8")
        with pytest.raises(CommandFailed, match="not in the table"):
            edge.command("fix", "1.2.3.1", "--steps", str(tmp_path / "steps.yaml"))
        (tmp_path / "steps.yaml").write_text("- set: {tag: PatientIdent, value: x}\n", encoding="utf-8")
        with pytest.raises(CommandFailed, match="line 1"):
            edge.command("fix", "1.2.3.1", "--steps", str(tmp_path / "steps.yaml"))
        assert edge.ask("status")["buffer"]["deliveries_quarantined"] == 1
        assert edge.ask("audit") == []
        assert pacs.received() == {}


def test_a_fix_outlives_the_death_of_the_node_before_it_was_sent(tmp_path: Path) -> None:
    with _site(tmp_path) as (edge, pacs):
        _quarantine(edge, "1.2.3.1")
        pacs.stop()
        assert edge.ask("fix", "1.2.3.1", "--steps", str(tmp_path / "steps.yaml"))["fixed"] == 1
        edge.kill()
        pacs.start()
        edge.start()
        edge.wait(lambda: "1.2.3.1" in pacs.received(), "the mended object never came", seconds=60)
        assert read(pacs.received()["1.2.3.1"].data_set, coding_of(EXPLICIT)).PatientID == "SUBJECT-1"


def test_what_waits_for_a_dead_destination_is_held_released_moved_and_ended(tmp_path: Path) -> None:
    with _site(tmp_path) as (edge, pacs):
        pacs.stop()
        _send(edge, "1.2.3.1", "1.2.3.2", "1.2.3.3")
        _wait(edge, "deliveries_waiting", 3)
        with pytest.raises(CommandFailed, match="--yes"):
            edge.command("hold", "--route", "all")
        assert edge.ask("hold", "--route", "all", "--reason", "the PACS moves", "--yes")["done"] == 3
        _wait(edge, "deliveries_held", 3)
        assert {one["state"] for one in edge.ask("queue")} == {"held"}
        assert edge.ask("discard", "--uid", "1.2.3.3", "--reason", "a phantom", "--yes")["done"] == 1
        assert edge.ask("reroute", "--uid", "1.2.3.1", "--to", "archive", "--dry-run")["matching"] == 1
        assert edge.ask("reroute", "--uid", "1.2.3.1", "--to", "archive", "--yes")["done"] == 1
        edge.wait(lambda: bool(list((tmp_path / "archive").rglob("*.dcm"))), "it never came there", seconds=30)
        pacs.start()
        assert edge.ask("release", "--destination", "pacs")["done"] == 1
        _wait(edge, "deliveries_quarantined", 1)  # the PACS is there, and the object is what it was
        actions = [one["action"] for one in edge.ask("audit")]
        assert actions == ["release", "reroute", "discard", "hold"]
        assert edge.ask("status")["buffer"]["standings"]["ended"] == 2
