"""A node whose destinations are asked after sending: a real archive, also one that loses what it acknowledged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from edge.buffer.view import BufferView, Record
from edge.durable import write_durably
from edge.forward.find import STUDY_ROOT
from edge.forward.qido import PAGE
from tests.byte_pdus import Context
from tests.byte_peer import associated
from tests.byte_sink import ByteSink, Habits, first_syntax
from tests.edge_door import TunedEdge
from tests.edge_samples import data_set
from tests.orthanc import PASSWORD, PLUGIN, USER, Orthanc
from tests.real_programs import require, require_file

LOSES = """
local stored = 0
function OnStoredInstance(instance, tags, metadata, origin)
  stored = stored + 1
  if stored % 3 == 0 or tags['SOPInstanceUID'] == '1.2.66' then
    RestApiDelete('/instances/' .. instance)
  end
end
"""
"""Acknowledges everything, and loses every third object and always this one."""
POLICY = {
    "find": """\
skerry: 1
destinations:
  - {{name: pacs, kind: dicom, ae_title: ORTHANC, host: 127.0.0.1, port: {dicom}, verify: find}}
routes:
  - {{name: all, to: [pacs]}}
""",
    "qido": """\
skerry: 1
destinations:
  - {{name: pacs, kind: dicomweb, url: "{url}", credentials: peer, verify: qido}}
routes:
  - {{name: all, to: [pacs]}}
""",
}
HOW = {"find": "by C-FIND", "qido": "by QIDO-RS"}
FAST: dict[str, Any] = {"verify_after_seconds": 0.3, "verify_questions": 2, "retry_cap_seconds": 1}


@pytest.fixture(params=list(POLICY))
def verify(request: pytest.FixtureRequest) -> str:
    require("Orthanc")
    require_file(PLUGIN, package="orthanc-dicomweb")
    return str(request.param)


def _edge(tmp_path: Path, verify: str, archive: Orthanc, stack: ExitStack, **settings: Any) -> TunedEdge:
    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY[verify].format(dicom=archive.dicom_port, url=archive.url), encoding="utf-8")
    secrets = tmp_path / "node" / "credentials"
    secrets.mkdir(mode=0o700, parents=True)
    write_durably(secrets / "peer", f'{{"username": "{USER}", "password": "{PASSWORD}"}}'.encode(), mode=0o600)
    return stack.enter_context(TunedEdge(tmp_path, policy=policy, **{**FAST, **settings}))


def _send(edge: TunedEdge, uids: Sequence[str]) -> None:
    with associated(edge.dicom_port) as peer:
        for uid in uids:
            assert peer.store(uid, data_set(uid)) == 0x0000
    for uid in uids:
        edge.held(uid)


def _deliveries(edge: TunedEdge) -> Mapping[str, Record]:
    held = BufferView(edge.data_dir).trace("1.2.3")
    return {one["sop_instance_uid"]: delivery for one in held for delivery in one["deliveries"]}


def test_an_archive_that_keeps_everything_says_so_page_by_page(tmp_path: Path) -> None:
    require("Orthanc")
    require_file(PLUGIN, package="orthanc-dicomweb")
    uids = [f"1.2.3.{number}" for number in range(PAGE + 20)]
    with ExitStack() as stack:
        archive = stack.enter_context(Orthanc(tmp_path / "orthanc", DicomAlwaysAllowFind=True))
        edge = _edge(tmp_path, "qido", archive, stack)
        _send(edge, uids)
        edge.wait(
            lambda: edge.metric("skerry_edge_deliveries_total", outcome="delivered") >= len(uids),
            "not all was verified",
            seconds=40,
        )
        found = _deliveries(edge)
        assert {(one["state"], one["reason"]) for one in found.values()} == {("delivered", "verified by QIDO-RS")}
        assert set(found) == set(uids) == set(archive.received())


def test_what_an_archive_acknowledged_and_lost_is_sent_again_or_is_for_a_person(tmp_path: Path, verify: str) -> None:
    uids = [*(f"1.2.3.{number}" for number in range(12)), "1.2.66"]
    with ExitStack() as stack:
        archive = stack.enter_context(Orthanc(tmp_path / "orthanc", lua=LOSES, DicomAlwaysAllowFind=True))
        edge = _edge(tmp_path, verify, archive, stack)
        _send(edge, uids)
        edge.wait(
            lambda: {one["state"] for one in _deliveries(edge).values()} <= {"delivered", "parked"},
            "something was neither held nor parked",
            seconds=60,
        )
        found = _deliveries(edge)
        held = {uid for uid, one in found.items() if one["state"] == "delivered"}
        assert held == set(archive.received())
        assert found["1.2.66"]["state"] == "parked"
        for one in found.values():
            words = f"pacs acknowledged it 3 times and does not hold it, asked {HOW[verify]}: ask its administrator"
            assert one["state"] == "delivered" or one["reason"].startswith(words)
        assert edge.metric("skerry_edge_verifications_total", outcome="missing") >= 4
        edge.wait(lambda: sum(_standings(edge).values()) == len(uids), "where they stand does not sum up", seconds=10)
        assert _standings(edge) == {"delivered": float(len(held)), "parked": float(len(uids) - len(held))}


def _images_only(context: Context) -> str | None:
    return None if context.abstract_syntax == STUDY_ROOT else first_syntax(context)


def _standings(edge: TunedEdge) -> dict[str, float]:
    every = ("delivered", "parked", "quarantined", "waiting", "ended")
    found = {one: edge.metric("skerry_edge_instances_by_standing", standing=one) for one in every}
    return {one: count for one, count in found.items() if count}


def test_a_peer_that_takes_no_questions_is_told_in_the_status_and_holds_no_image_up(tmp_path: Path) -> None:
    with ExitStack() as stack:
        sink = stack.enter_context(ByteSink(Habits(accepts=_images_only)))
        policy = tmp_path / "policy.yaml"
        destination = f"name: pacs, kind: dicom, ae_title: SINK, host: 127.0.0.1, port: {sink.port}, verify: find"
        text = f"skerry: 1\ndestinations: [{{{destination}}}]\nroutes: [{{name: all, to: [pacs]}}]\n"
        policy.write_text(text, encoding="utf-8")
        edge = stack.enter_context(TunedEdge(tmp_path, policy=policy, **FAST))
        _send(edge, ["1.2.3.1", "1.2.3.2"])
        sink.wait_arrivals(2)
        edge.wait(lambda: bool(edge.events("verify.unanswered")), "it was never asked")
        (told, *_more) = edge.events("verify.unanswered")
        assert told["reason"] == "it takes no C-FIND (Study Root) from SKERRY"
        assert "let SKERRY query" in str(told["hint"])
        assert set(_standing(edge)) == {"verifying"}
        assert edge.conditions()["destination-not-verifiable"].startswith("pacs acknowledges images and does not say")
        queue, trace, status = edge.command("queue"), edge.command("trace", "1.2.3.1"), edge.command("status")
        assert "verifying" in queue
        assert "asked for at" in queue
        assert "it acknowledged the image and cannot be asked for it: it takes no C-FIND" in trace
        assert "cannot be asked for what it acknowledged: it takes no C-FIND" in status
        assert "let SKERRY query" in status
        _send(edge, ["1.2.3.3"])
        sink.wait_arrivals(3)
        # Whoever takes the setting out again takes the acknowledgements for proof.
        policy.write_text(text.replace(", verify: find", ""), encoding="utf-8")
        edge.stop()
        edge.start()
        edge.wait(lambda: _standing(edge) == ["delivered"] * 3, "still waiting")
        assert len(sink.arrivals) == 3
        edge.wait(lambda: "cannot be asked" not in edge.command("status"), "the status still complains")


def test_a_node_that_is_killed_between_acknowledgement_and_question_asks_when_it_is_back(tmp_path: Path) -> None:
    require("Orthanc")
    uids = [f"1.2.3.{number}" for number in range(5)]
    with ExitStack() as stack:
        archive = stack.enter_context(Orthanc(tmp_path / "orthanc", DicomAlwaysAllowFind=True))
        edge = _edge(tmp_path, "find", archive, stack, verify_after_seconds=5)
        _send(edge, uids)
        edge.wait(lambda: _standing(edge) == ["verifying"] * 5, "not all was sent")
        edge.kill()
        assert _standing(edge) == ["verifying"] * 5
        edge.start()
        edge.wait(lambda: _standing(edge) == ["delivered"] * 5, "not all was verified", seconds=20)
        assert {(one["attempts"], one["reason"]) for one in _deliveries(edge).values()} == {(1, "verified by C-FIND")}


def _standing(edge: TunedEdge) -> list[str]:
    return [str(one["state"]) for one in _deliveries(edge).values()]
