"""A node that stands aside: it takes no new association, finishes the open ones, delivers, and stays so until told."""

from __future__ import annotations

import contextlib
import json
import urllib.error
import urllib.request
from pathlib import Path

from edge.buffer.hand import Hand
from edge.centre_commands import CentreCommands
from edge.draining import FILE, Draining
from edge.sync.commands import Asked, Outcome
from provisioning.local.storescp import StoreScp
from tests import byte_pdus as pdus
from tests.byte_pdus import Accepted, Rejected
from tests.byte_peer import DEFAULT_CONTEXTS, Answer, BytePeer, associated
from tests.edge_door import TunedEdge
from tests.edge_samples import data_set

REFUSED = Rejected(result=2, source=3, reason=1)  # transient, by the presentation provider: temporary congestion


def _come(edge: TunedEdge) -> Answer:
    with BytePeer(edge.dicom_port) as peer:
        return peer.request(pdus.associate_rq(DEFAULT_CONTEXTS))


def _ready(edge: TunedEdge) -> int:
    try:
        with urllib.request.urlopen(f"{edge.http_url}/readyz", timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return int(error.code)


def _conditions(edge: TunedEdge) -> dict[str, str]:
    try:
        with urllib.request.urlopen(f"{edge.http_url}/status", timeout=10) as answer:
            body = answer.read()
    except urllib.error.HTTPError as error:
        body = error.read()
    return {one["code"]: one["text"] for one in json.loads(body)["conditions"]}


def test_a_node_that_drains_refuses_new_associations_finishes_and_delivers_over_a_restart(tmp_path: Path) -> None:
    with StoreScp(tmp_path / "pacs") as pacs, TunedEdge(tmp_path, to=[pacs.address], ingest_processes=2) as edge:
        with associated(edge.dicom_port) as open_one:
            edge.command("drain", "--reason", "new disk")
            assert _come(edge) == REFUSED
            assert _ready(edge) == 503
            assert open_one.store("1.2.3.4", data_set("1.2.3.4")) == 0x0000
            assert open_one.release()
        edge.wait(lambda: "1.2.3.4" in pacs.received(), "what it held was not delivered")
        edge.wait(lambda: "all that it held is delivered" in _conditions(edge)["draining"], "it is not said")
        assert "new disk" in _conditions(edge)["draining"]
        assert edge.ask("status")["draining"]["reason"] == "new disk"
        assert "no new associations" in edge.command("status")
        edge.stop()
        edge.start()
        assert _come(edge) == REFUSED
        edge.command("drain", "--end", "--dry-run")
        assert _come(edge) == REFUSED
        edge.command("drain", "--end")
        assert isinstance(_come(edge), Accepted)
        edge.wait(lambda: _ready(edge) == 200, "it is not ready again")
        assert "draining" not in _conditions(edge)
        assert [one["action"] for one in Hand(edge.data_dir).deeds()][:2] == ["drain ended", "drain"]


def _commands(edge: TunedEdge) -> CentreCommands:
    facts = {"instances_held": 3, "deliveries_waiting": 2}
    return CentreCommands(edge.data_dir, facts=lambda: facts, destinations=lambda: ())


def _ask(edge: TunedEdge, kind: str, **arguments: str) -> Outcome:
    return _commands(edge).kinds()[kind].handle(Asked(arguments=arguments, asked_by="user:eve"))


def test_the_centre_may_ask_for_it_and_for_the_last_lines_of_the_log(tmp_path: Path) -> None:
    with TunedEdge(tmp_path) as edge:
        tried = _ask(edge, "drain", dry_run="true")
        assert "would take no new associations" in tried.text
        assert isinstance(_come(edge), Accepted)
        done = _ask(edge, "drain", reason="new disk")
        assert (done.done, done.result["changed"], done.result["deliveries_waiting"]) == (True, True, 2)
        assert _come(edge) == REFUSED
        assert _ask(edge, "drain").text == "It drains already."
        (deed,) = [one for one in Hand(edge.data_dir).deeds() if one["action"] == "drain"]
        assert (deed["who"], deed["reason"]) == ("centre: user:eve", "new disk")
        edge.wait(lambda: bool(edge.events("ingest.association_rejected")), "no line was written")
        (line,) = _ask(edge, "log-tail", level="warning").result["lines"]
        assert (line["event"], line["reason"]) == ("ingest.association_rejected", "rejected-draining")
        everything = _ask(edge, "log-tail", lines="1000").result["lines"]
        assert {one["process"] for one in everything} >= {"supervisor", "core", line["process"]}
        assert len(_ask(edge, "log-tail", lines="2").result["lines"]) == 2
        assert _ask(edge, "drain", end="true").text == "It takes associations again."
        assert _ask(edge, "drain", end="true").result["changed"] is False
        assert isinstance(_come(edge), Accepted)


def test_a_mark_that_cannot_be_read_is_one_all_the_same(tmp_path: Path) -> None:
    for content in (b"", b"\xff{", b"[]", b'{"by": 1}'):
        (tmp_path / FILE).write_bytes(content)
        (condition,) = Draining(tmp_path).conditions(lambda: 1)
        assert condition.code == "draining"
    with contextlib.suppress(FileNotFoundError):
        assert Draining(tmp_path).end()
    assert Draining(tmp_path).conditions(lambda: 1) == []
