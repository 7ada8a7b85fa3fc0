"""A route that waits, and a modality that announces: at once when all is here, later when not, also when killed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from provisioning.local.command import own_script, run
from provisioning.local.storescp import StoreScp
from tests.edge_door import TunedEdge, waiting_node
from tests.edge_samples import data_set
from tests.mpps import COMMITMENT, STEP, WELL_KNOWN, Listening, asked, begun, ended, modality
from tests.scu import store

pytestmark = pytest.mark.timeout(120)
SERIES = "1.2.9.1"


def made(edge: TunedEdge, sent: Sequence[str], named: Sequence[str], step: str = "1.77.1") -> None:
    """A modality begins, sends these and says that it made those, all over one association."""
    with modality(edge.dicom_port) as peer:
        assert peer.send_n_create(begun(), STEP, step)[0].Status == 0x0000
        for uid in sent:
            assert store(peer, uid, data_set(uid)) == 0x0000
        assert peer.send_n_set(ended({SERIES: named}), STEP, step)[0].Status == 0x0000


def arrived(pacs: StoreScp) -> int:
    """How many files the PACS has."""
    return sum(1 for path in pacs.folder.rglob("*") if path.is_file())


def words(edge: TunedEdge, *command: str) -> str:
    """What a command says of this node."""
    return run([own_script("skerry-edge"), *command, "--data-dir", str(edge.data_dir)])


def test_a_study_that_is_all_here_does_not_wait_for_its_quiet(tmp_path: Path, pacs: StoreScp) -> None:
    with waiting_node(tmp_path, pacs, "{for: study, quiet: 1h, at_most: 2h}") as edge:
        made(edge, ["1.2.1", "1.2.2", "1.2.3"], ["1.2.1", "1.2.2", "1.2.3"])
        edge.wait(lambda: arrived(pacs) == 3, "it waited", seconds=20)
        assert edge.metric("skerry_edge_gathered_total", outcome="all-here") == 1
        assert "announced  3 images of its study, none of them missing" in words(edge, "trace", "1.2.1")


def test_a_series_goes_when_its_modality_asks_whether_we_keep_it(tmp_path: Path, pacs: StoreScp) -> None:
    heard = Listening()
    with waiting_node(tmp_path, pacs, "{for: series, quiet: 1h, at_most: 2h}") as edge:
        with modality(edge.dicom_port, handlers=heard.handlers) as peer:
            for uid in ("1.2.1", "1.2.2"):
                assert store(peer, uid, data_set(uid)) == 0x0000
            request = asked("1.90.1", "1.2.1", "1.2.2")
            assert peer.send_n_action(request, 1, COMMITMENT, WELL_KNOWN)[0].Status == 0x0000
            assert heard.report("1.90.1") == (1, ["1.2.1", "1.2.2"], {})
        edge.wait(lambda: arrived(pacs) == 2, "it waited", seconds=20)


def test_what_is_missing_is_waited_for_through_a_kill_and_not_for_ever(tmp_path: Path, pacs: StoreScp) -> None:
    with waiting_node(tmp_path, pacs, "{for: study, quiet: 2s, missing: 10s, at_most: 1h}") as edge:
        made(edge, ["1.2.1", "1.2.2"], ["1.2.1", "1.2.2", "1.2.3"])
        edge.wait(lambda: "1 of 3 announced are missing" in words(edge, "status"), "it is not said")
        edge.kill()
        edge.start()
        time.sleep(4)
        assert arrived(pacs) == 0, "it went after its quiet alone"
        assert "1 of 3 announced are missing" in words(edge, "queue")
        edge.wait(lambda: arrived(pacs) == 2, "it is held for ever", seconds=30)
        edge.wait(lambda: edge.metric("skerry_edge_announced_images_missing") == 1, "it is not counted")
        assert edge.metric("skerry_edge_gathered_total", outcome="missing") == 1
        assert [one["code"] for one in edge.facts()["conditions"]] == ["announced-missing"]
        reasons = [str(event.get("missing")) for event in edge.events("gathering.incomplete")]
        assert reasons == ["1"]
        made(edge, ["1.2.3"], ["1.2.3"], step="1.77.2")
        edge.wait(lambda: arrived(pacs) == 3, "the late image never went", seconds=20)
        edge.wait(lambda: edge.facts()["conditions"] == [], "the condition stays", seconds=20)
