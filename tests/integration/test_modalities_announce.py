"""MPPS and storage commitment at a real node's door, with pynetdicom as the modality."""

from __future__ import annotations

import random
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import apsw
import psutil
import pytest
from pydicom.dataset import Dataset
from pynetdicom import evt
from pynetdicom.dimse_primitives import N_EVENT_REPORT, N_SET

from edge.ingest import announced
from tests import fuzz_mutations as mutations
from tests.edge_door import TunedEdge
from tests.edge_samples import data_set
from tests.mpps import COMMITMENT, PATIENT, STEP, WELL_KNOWN, Listening, asked, begun, encoded, ended, modality
from tests.scu import store

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TunedEdge]:
    with TunedEdge(tmp_path_factory.mktemp("announce")) as node:
        yield node


def create(peer: Any, step: str | None, content: Dataset) -> int:
    """The status of an N-CREATE."""
    answer, _given = peer.send_n_create(content, STEP, step)
    return int(answer.Status)


def change(peer: Any, step: str, content: Dataset) -> int:
    """The status of an N-SET."""
    answer, _given = peer.send_n_set(content, STEP, step)
    return int(answer.Status)


def expected(edge: TunedEdge, step: str) -> list[tuple[str, str, int, int, int]]:
    """What this step, or transaction, is waited for: study, series, final, named, missing."""
    connection = apsw.Connection(str(edge.data_dir / "edge.db"))
    query = "SELECT study, series, final, named, missing FROM expectation WHERE of = ? ORDER BY series"
    found = list(connection.execute(query, (step,)))
    connection.close()
    return found


def test_a_step_is_kept_from_its_begin_to_its_end_and_its_images_count_it_down(edge: TunedEdge) -> None:
    with modality(edge.dicom_port) as peer:
        assert create(peer, "1.77.1", begun()) == 0x0000
        assert create(peer, "1.77.1", begun()) == 0x0111
        assert store(peer, "1.2.1", data_set("1.2.1")) == 0x0000
        named = {"1.2.9.1": ["1.2.1", "1.2.2"], "1.2.9.2": ["1.2.3"]}
        assert change(peer, "1.77.1", ended(named)) == 0x0000
        assert change(peer, "1.77.1", ended(named)) == 0x0110, "it may no longer be updated"
        assert store(peer, "1.2.3", data_set("1.2.3")) == 0x0000
    edge.wait(
        lambda: expected(edge, "1.77.1") == [("1.2.3", "1.2.9.1", 1, 2, 1), ("1.2.3", "1.2.9.2", 1, 1, 0)],
        "the images were not counted",
    )
    assert edge.metric("skerry_edge_announcements_total", kind="step-begun", outcome="kept") >= 1


def test_a_step_that_was_never_begun_is_no_such_instance(edge: TunedEdge) -> None:
    with modality(edge.dicom_port) as peer:
        assert change(peer, "1.77.404", ended({})) == 0x0112
        assert store(peer, "1.2.4", data_set("1.2.4")) == 0x0000


def test_who_names_no_step_is_given_one(edge: TunedEdge) -> None:
    commands: list[Dataset] = []
    handlers = [(evt.EVT_DIMSE_RECV, lambda event: commands.append(event.message.command_set))]
    with modality(edge.dicom_port, handlers=handlers) as peer:
        answer, _given = peer.send_n_create(begun(), STEP, None)
        assert answer.Status == 0x0000
        given = str(commands[0].AffectedSOPInstanceUID)
        assert given.startswith("2.25.")
        assert change(peer, given, ended({})) == 0x0000


@pytest.mark.parametrize(
    ("named", "state", "status", "outcome"),
    [
        ({"1.2.9.1": ["1.2.'; DROP TABLE expected"]}, "COMPLETED", 0x0106, "bad-uid"),
        ({"1.2.9.1": ["1" * 65]}, "COMPLETED", 0x0106, "bad-uid"),
        ({"-": ["1.2.1"]}, "COMPLETED", 0x0106, "bad-uid"),
        ({"1.2.9.1": ["1.2.1"]}, "PERHAPS", 0x0106, "bad-status"),
        ({"1.2.9.1": [f"1.2.{n}" for n in range(announced.MOST_NAMED + 1)]}, "COMPLETED", 0x0213, "too-many"),
    ],
    ids=["sql", "long", "no series", "state", "too many"],
)
@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
@pytest.mark.filterwarnings("ignore:The value length")
def test_what_cannot_be_is_refused_whole_and_the_association_goes_on(
    edge: TunedEdge, named: dict[str, list[str]], state: str, status: int, outcome: str
) -> None:
    step = f"1.78.{status}.{len(str(named))}"
    before = edge.metric("skerry_edge_announcements_total", kind="step-changed", outcome=outcome)
    with modality(edge.dicom_port) as peer:
        assert create(peer, step, begun()) == 0x0000
        assert change(peer, step, ended(named, state)) == status
        assert expected(edge, step) == []
        assert store(peer, "1.2.5", data_set("1.2.5")) == 0x0000
        assert change(peer, step, ended({})) == 0x0000, "a later message is taken"
    assert edge.metric("skerry_edge_announcements_total", kind="step-changed", outcome=outcome) == before + 1
    assert edge.events("announcement.refused")


def test_mutated_reports_end_in_a_status_and_no_process(edge: TunedEdge) -> None:
    valid = [encoded(ended({"1.2.9.1": [f"1.2.{n}" for n in range(30)]})), encoded(asked("1.9", "1.2.1", "1.2.2"))]
    before = {process.pid for process in psutil.Process(edge.pid).children(recursive=True)}
    statuses = set()
    with modality(edge.dicom_port) as peer:
        assert create(peer, "1.81.1", begun()) == 0x0000
        for number in range(150):
            chance = random.Random(f"{mutations.SEED}/announce/{number}")
            request = N_SET()
            request.MessageID, request.RequestedSOPClassUID, request.RequestedSOPInstanceUID = 1, STEP, "1.81.1"
            request.ModificationList = BytesIO(mutations.mutated(chance.choice(valid), chance, valid))
            statuses.add(_sent(peer, request))
        assert statuses <= {0x0000, 0x0106, 0x0110, 0x0213}
        assert 0x0106 in statuses
        assert store(peer, "1.2.7", data_set("1.2.7")) == 0x0000
    assert {process.pid for process in psutil.Process(edge.pid).children(recursive=True)} == before
    assert "Traceback" not in edge.log_text()
    assert PATIENT not in edge.log_text()


def _sent(peer: Any, request: N_SET) -> int:
    peer._reactor_checkpoint.clear()
    peer.dimse.send_msg(request, 3)
    _context, response = peer.dimse.get_msg(block=True)
    peer._reactor_checkpoint.set()
    assert response is not None, "the association ended"
    return int(response.Status)


def test_nothing_of_a_patient_is_kept_or_logged(edge: TunedEdge) -> None:
    with modality(edge.dicom_port) as peer:
        assert create(peer, "1.79.1", begun()) == 0x0000
        assert change(peer, "1.79.1", ended({"1.2.9.1": ["1.2.6"]}, "PERHAPS")) == 0x0106
        assert change(peer, "1.79.1", ended({"1.2.9.1": ["1.2.6"]}, "DISCONTINUED")) == 0x0000
    assert PATIENT not in edge.log_text()
    for file in edge.data_dir.rglob("*"):
        if file.is_file():
            assert PATIENT.encode() not in file.read_bytes(), file


def test_what_was_announced_survives_a_kill(tmp_path: Path) -> None:
    with TunedEdge(tmp_path) as node:
        with modality(node.dicom_port) as peer:
            assert create(peer, "1.80.1", begun()) == 0x0000
            assert change(peer, "1.80.1", ended({"1.2.9.1": ["1.2.1", "1.2.2"]})) == 0x0000
        node.kill()
        node.start()
        assert expected(node, "1.80.1") == [("1.2.3", "1.2.9.1", 1, 2, 2)]
        with modality(node.dicom_port) as peer:
            assert change(peer, "1.80.1", ended({})) == 0x0110
            assert store(peer, "1.2.1", data_set("1.2.1")) == 0x0000
        node.wait(lambda: expected(node, "1.80.1")[0][4] == 1, "the image was not counted")


def ask(peer: Any, transaction: str, *uids: str, action: int = 1, instance: str = WELL_KNOWN) -> int:
    """The status of an N-ACTION for storage commitment."""
    answer, _given = peer.send_n_action(asked(transaction, *uids), action, COMMITMENT, instance)
    return int(answer.Status)


def test_what_is_in_custody_is_committed_and_nothing_else_is(edge: TunedEdge) -> None:
    heard = Listening()
    with modality(edge.dicom_port, handlers=heard.handlers) as peer:
        assert store(peer, "1.5.1", data_set("1.5.1")) == 0x0000
        assert ask(peer, "1.90.1", "1.5.1") == 0x0000
        assert heard.report("1.90.1") == (1, ["1.5.1"], {})
        assert ask(peer, "1.90.2", "1.5.1", "1.5.404") == 0x0000
        assert heard.report("1.90.2", seconds=20) == (2, ["1.5.1"], {"1.5.404": 0x0112})
        assert store(peer, "1.5.2", data_set("1.5.2")) == 0x0000, "the association goes on"
    assert edge.metric("skerry_edge_commitments_total", outcome="committed") >= 2
    assert edge.metric("skerry_edge_commitments_total", outcome="failed") >= 1
    assert edge.metric("skerry_edge_commitment_reports_total", outcome="taken") >= 2


def test_an_image_of_another_class_than_was_asked_for_is_not_committed(edge: TunedEdge) -> None:
    heard = Listening()
    with modality(edge.dicom_port, handlers=heard.handlers) as peer:
        assert store(peer, "1.5.3", data_set("1.5.3")) == 0x0000
        request = asked("1.90.3", "1.5.3")
        request.ReferencedSOPSequence[0].ReferencedSOPClassUID = "1.2.840.10008.5.1.4.1.1.4"
        answer, _given = peer.send_n_action(request, 1, COMMITMENT, WELL_KNOWN)
        assert answer.Status == 0x0000
        assert heard.report("1.90.3") == (2, [], {"1.5.3": 0x0119})


def test_a_request_that_asks_for_nothing_that_can_be_kept_is_refused(edge: TunedEdge) -> None:
    with modality(edge.dicom_port) as peer:
        assert ask(peer, "1.90.4", "1.5.1", instance="1.2.3") == 0x0112
        assert ask(peer, "1.90.4", "1.5.1", action=2) == 0x0123
        assert ask(peer, "1.90.4") == 0x0115
        assert ask(peer, "1.90.4", *(f"1.5.{n}" for n in range(announced.MOST_NAMED + 1))) == 0x0213
        assert store(peer, "1.5.4", data_set("1.5.4")) == 0x0000


def test_an_answer_to_a_report_that_was_never_sent_ends_only_its_own_association(edge: TunedEdge) -> None:
    before = edge.ended("bad-command-set")
    with modality(edge.dicom_port) as peer:
        answer = N_EVENT_REPORT()
        answer.MessageIDBeingRespondedTo, answer.Status = 7, 0x0000
        peer.dimse.send_msg(answer, 5)
        edge.wait(lambda: edge.ended("bad-command-set") == before + 1, "it was taken")
    with modality(edge.dicom_port) as peer:
        assert store(peer, "1.5.5", data_set("1.5.5")) == 0x0000


# The library answers the report while it releases, which its own table of states does not know.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_who_does_not_wait_for_the_report_gets_it_at_its_own_address(tmp_path: Path) -> None:
    heard = Listening()
    with (
        heard.at("CT01") as port,
        TunedEdge(tmp_path, commitment_reports=[f"CT01@127.0.0.1:{port}"]) as node,
    ):
        with modality(node.dicom_port, calling="CT01") as peer:
            assert store(peer, "1.5.1", data_set("1.5.1")) == 0x0000
            assert ask(peer, "1.91.1", "1.5.1") == 0x0000
        assert heard.report("1.91.1") == (1, ["1.5.1"], {})
        with modality(node.dicom_port, calling="US09") as peer:
            assert ask(peer, "1.91.2", "1.5.1") == 0x0000
        node.wait(
            lambda: node.metric("skerry_edge_commitment_reports_total", outcome="unreported") == 1,
            "who is unknown cannot be told",
        )
        assert "commitment_reports" in node.hints()


def test_a_site_may_leave_commitment_to_its_archive(tmp_path: Path) -> None:
    with TunedEdge(tmp_path, storage_commitment=False) as node, modality(node.dicom_port) as peer:
        accepted = {str(one.abstract_syntax) for one in peer.accepted_contexts}
        assert STEP in accepted
        assert COMMITMENT not in accepted
