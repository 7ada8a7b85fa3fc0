"""The commands of an edge node, beside a node that runs and one that does not, with no control plane anywhere."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest

from provisioning.errors import CommandFailed
from provisioning.local.command import own_script
from provisioning.local.edge import Edge
from provisioning.local.storescp import StoreScp
from tests.edge_samples import data_set
from tests.scu import association, store


def _send(edge: Edge, *uids: str) -> None:
    with association(edge.dicom_port) as peer:
        for number, uid in enumerate(uids, 1):
            assert store(peer, uid, data_set(uid), message_id=number) == 0x0000


def _wait(edge: Edge, field: str, value: int) -> None:
    deadline = time.monotonic() + 20
    while (now := edge.ask("status")["buffer"][field]) != value:
        assert time.monotonic() < deadline, f"{field} is {now}, not {value}\n{edge.log_end()}"
        time.sleep(0.1)


def _run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([own_script("skerry-edge"), *words], capture_output=True, text=True, timeout=60, check=False)


def test_a_lone_node_delivers_and_tells_the_whole_story(tmp_path: Path) -> None:
    with StoreScp(tmp_path / "pacs") as pacs, Edge(tmp_path / "node", to=[pacs.address]) as edge:
        _send(edge, "1.2.3.1", "1.2.3.2")
        _wait(edge, "instances_held", 2)
        _wait(edge, "deliveries_waiting", 0)
        (story,) = edge.ask("trace", "1.2.3.1")
        assert story["calling_ae_title"] == "SCANNER"
        assert [(one["destination"], one["state"]) for one in story["deliveries"]] == [("PACS", "delivered")]
        assert pacs.received()["1.2.3.1"].data_set == data_set("1.2.3.1")
        assert "delivered" in edge.command("trace", "1.2.3.1")
        with urllib.request.urlopen(f"{edge.http_url}/healthz", timeout=5) as answer:
            assert answer.read() == b"ok\n"


def test_with_neither_policy_nor_destination_a_node_only_buffers_and_routes_when_it_gets_one(tmp_path: Path) -> None:
    with Edge(tmp_path / "node") as edge:
        _send(edge, "1.2.3.1")
        _wait(edge, "instances_held", 1)
        assert edge.ask("queue") == []
        assert edge.ask("trace", "1.2.3.1")[0]["deliveries"] == []
        assert edge.ask("status")["buffer"]["instances_nowhere"] == 1
        assert "no-policy" in {one["code"] for one in edge.facts()["conditions"]}
    with StoreScp(tmp_path / "pacs") as pacs, Edge(tmp_path / "node", to=[pacs.address]) as again:
        deadline = time.monotonic() + 20
        while "1.2.3.1" not in pacs.received():
            assert time.monotonic() < deadline
            time.sleep(0.1)
        _wait(again, "instances_nowhere", 0)


def test_a_queue_rides_out_an_outage_by_itself_and_empties_when_the_pacs_is_back(tmp_path: Path) -> None:
    with StoreScp(tmp_path / "pacs") as pacs, Edge(tmp_path / "node", to=[pacs.address]) as edge:
        pacs.stop()
        _send(edge, "1.2.3.1", "1.2.3.2", "1.2.3.3")
        _wait(edge, "deliveries_waiting", 3)
        assert {one["destination"] for one in edge.ask("queue")} == {"PACS"}
        time.sleep(3)
        note = edge.ask("status")["notes"]["destination.PACS"]["value"]
        assert "down since" in note
        assert {"down since" in one["reason"] for one in edge.ask("queue")} == {True}
        assert "nothing answers as DICOM" in note
        pacs.start()
        _wait(edge, "deliveries_waiting", 0)
        assert set(pacs.received()) == {"1.2.3.1", "1.2.3.2", "1.2.3.3"}


def test_what_is_parked_waits_for_a_person_and_is_delivered_after_requeue(tmp_path: Path) -> None:
    with StoreScp(tmp_path / "pacs", syntaxes="+xi") as picky, Edge(tmp_path / "node", to=[picky.address]) as edge:
        _send(edge, "1.2.3.1")
        _wait(edge, "deliveries_parked", 1)
        picky.stop()
        with StoreScp(tmp_path / "open", port=picky.port) as generous:
            assert edge.ask("requeue", "--uid", "1.2.3.1", "--dry-run")["matching"] == 1
            _wait(edge, "deliveries_parked", 1)
            assert edge.ask("requeue", "--uid", "1.2.3.1")["requeued"] == 1
            _wait(edge, "deliveries_parked", 0)
            _wait(edge, "deliveries_waiting", 0)
            assert set(generous.received()) == {"1.2.3.1"}


def test_sigterm_ends_a_node_within_ten_seconds_with_work_in_its_hands(tmp_path: Path) -> None:
    with Edge(tmp_path / "node", to=["NOBODY@127.0.0.1:9"]) as edge:
        with association(edge.dicom_port) as peer:
            assert store(peer, "1.2.3.1", data_set("1.2.3.1")) == 0x0000
            started = time.monotonic()
            edge.send_signal(signal.SIGTERM)
            assert edge.wait_end(seconds=10) == 0
        took = time.monotonic() - started
        assert took < 10
        assert [one["sop_instance_uid"] for one in edge.ask("queue")] == ["1.2.3.1"]


@pytest.mark.parametrize("name", ["core", "ingest-0", "forward-0"])
def test_a_process_that_hangs_delays_a_stop_by_seconds_only(tmp_path: Path, name: str) -> None:
    with Edge(tmp_path / "node") as edge:
        os.kill(edge.facts()["processes"][name]["pid"], signal.SIGSTOP)
        started = time.monotonic()
        edge.send_signal(signal.SIGTERM)
        assert edge.wait_end(seconds=10) == 1
        assert time.monotonic() - started < 10
    assert edge.ask("status")["running"] is False


def test_a_node_that_is_asked_to_stop_while_it_starts_does_so(tmp_path: Path) -> None:
    words = ["run", "--data-dir", str(tmp_path / "node"), "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"]
    with subprocess.Popen([own_script("skerry-edge"), *words], stderr=subprocess.PIPE, text=True) as node:
        assert node.stderr is not None
        assert "node.starting" in node.stderr.readline()
        node.send_signal(signal.SIGTERM)
        assert node.wait(timeout=10) in (0, 1)


def test_commands_work_beside_a_node_that_does_not_run(tmp_path: Path) -> None:
    edge = Edge(tmp_path / "node", to=["NOBODY@127.0.0.1:9"])
    with edge:
        _send(edge, "1.2.3.1")
        _wait(edge, "deliveries_waiting", 1)
        assert edge.ask("status")["running"] is True
    assert edge.ask("status")["running"] is False
    assert edge.ask("status")["buffer"]["deliveries_waiting"] == 1
    assert len(edge.ask("queue")) == 1
    assert len(edge.ask("trace", "1.2.3")) == 1
    assert "NOBODY" in edge.command("queue")
    assert "in spool" in edge.command("status")


def test_a_lost_database_is_rebuilt_from_the_spool(tmp_path: Path) -> None:
    uids = [f"1.2.3.{n}" for n in range(1, 21)]
    edge = Edge(tmp_path / "node")
    with edge:
        _send(edge, *uids)
        _wait(edge, "instances_held", 20)
    for path in edge.data_dir.glob("edge.db*"):
        path.unlink()
    (edge.data_dir / "edge.db").write_bytes(b"this is no database any more" * 100)
    for words in (["status"], ["run", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"]):
        damaged = _run(*words, "--data-dir", str(edge.data_dir))
        assert damaged.returncode == 2
        assert "rebuild" in damaged.stderr
        assert "Traceback" not in damaged.stderr
    assert edge.ask("rebuild", "--dry-run") == {"spool_files": 20, "dry_run": True}
    facts = edge.ask("rebuild", "--to", "PACS@127.0.0.1:9")
    assert facts["adopted"] == 20
    assert facts["damaged"] == 0
    assert edge.ask("status")["buffer"]["deliveries_waiting"] == 20
    (story,) = edge.ask("trace", "1.2.3.7")
    assert (story["calling_ae_title"], story["peer_address"]) == ("SCANNER", "127.0.0.1")


def test_a_rebuild_without_a_policy_loses_no_delivery(tmp_path: Path) -> None:
    edge = Edge(tmp_path / "node", to=["PACS@127.0.0.1:9"])
    with edge:
        _send(edge, "1.2.3.1")
        _wait(edge, "deliveries_waiting", 1)
    assert edge.ask("rebuild")["adopted"] == 1
    assert edge.ask("status")["buffer"]["instances_nowhere"] == 1
    with edge:
        _wait(edge, "deliveries_waiting", 1)


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
def test_text_that_looks_like_markup_or_controls_a_terminal_is_only_shown(tmp_path: Path) -> None:
    uid = "1.2[/b].3"
    with Edge(tmp_path / "node", to=["NOBODY@127.0.0.1:9"]) as edge:
        with association(edge.dicom_port) as peer:
            assert store(peer, uid, data_set(uid)) == 0x0000
        _wait(edge, "deliveries_waiting", 1)
        assert "1.2[/b].3" in edge.command("queue").replace("\n", "").replace(" ", "")


def test_a_second_node_in_one_data_directory_is_refused(tmp_path: Path) -> None:
    with Edge(tmp_path / "node") as edge:
        second = _run("run", "--data-dir", str(edge.data_dir), "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0")
        assert second.returncode == 1
        assert "another process owns" in second.stderr
        rebuilt = _run("rebuild", "--data-dir", str(edge.data_dir))
        assert "another process owns" in rebuilt.stderr


def test_a_log_that_cannot_be_written_stops_no_image(tmp_path: Path) -> None:
    with StoreScp(tmp_path / "pacs") as pacs:
        reading, writing = os.pipe()
        words = ["run", "--data-dir", str(tmp_path / "node"), "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"]
        command = [own_script("skerry-edge"), *words, "--to", pacs.address]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=writing, text=True) as node:
            os.close(writing)
            os.close(reading)
            try:
                assert node.stdout is not None
                port = int(node.stdout.readline().split()[1].rpartition(":")[2])
                pacs.stop()  # so that there is something to log
                with association(port) as peer:
                    assert store(peer, "1.2.3.1", data_set("1.2.3.1")) == 0x0000
                time.sleep(1.5)
                pacs.start()
                deadline = time.monotonic() + 30
                while "1.2.3.1" not in pacs.received():
                    assert time.monotonic() < deadline
                    time.sleep(0.2)
            finally:
                node.kill()


def test_a_port_that_is_taken_is_said(tmp_path: Path) -> None:
    with Edge(tmp_path / "node") as edge:
        taken = f"127.0.0.1:{edge.dicom_port}"
        for words in (["--listen", taken, "--http", "127.0.0.1:0"], ["--listen", "127.0.0.1:0", "--http", taken]):
            ended = _run("run", "--data-dir", str(tmp_path / "other"), *words)
            assert ended.returncode == 2
            assert f"cannot listen on {taken}" in ended.stderr


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["run", "--data-dir", "D", "--listen", "nonsense"], 2, "expected HOST:PORT"),
        (["run", "--data-dir", "D", "--ae-title", "FAR TOO LONG A TITLE"], 2, "AE title"),
        (["run", "--data-dir", "D", "--to", "nonsense"], 1, "AETITLE@HOST:PORT"),
        (["run", "--data-dir", "D", "--config", "none.toml"], 2, "No such file"),
        (["run", "--data-dir", "D", "--policy", "none.yaml"], 2, "cannot be read"),
        (["run", "--data-dir", "D", "--policy", "none.yaml", "--to", "A@h:1"], 2, "both given"),
        (["status", "--data-dir", "D"], 2, "holds no buffer"),
        (["trace", "1.2.3", "--data-dir", "D"], 2, "holds no buffer"),
        (["rebuild", "--data-dir", "D"], 2, "holds no spool"),
        (["status", "--data-dir", "/proc/none"], 2, "holds no buffer"),
        (["run", "--data-dir", "/proc/none", "--listen", "127.0.0.1:0"], 1, "/proc/none"),
        (["queue", "--data-dir", "D", "--state", "odd"], 2, "retry_wait"),
    ],
)
def test_wrong_words_get_one_sentence_and_no_traceback(tmp_path: Path, words: list[str], code: int, said: str) -> None:
    ended = _run(*[str(tmp_path / "node") if word == "D" else word for word in words])
    assert ended.returncode == code
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_request_that_means_nothing_is_refused_with_what_is_known(tmp_path: Path) -> None:
    edge = Edge(tmp_path / "node", to=["PACS@127.0.0.1:9"])
    with edge:
        _send(edge, "1.2.3.1")
        _wait(edge, "deliveries_waiting", 1)
    for words, said in (
        (["queue", "--destination", "NOPE"], "Known here: PACS"),
        (["requeue", "--destination", "NOPE"], "Known here: PACS"),
        (["requeue", "--all", "--uid", "1.2.3.1"], "--all means everything"),
        (["requeue"], "--unrouted"),
    ):
        ended = _run(*words, "--data-dir", str(edge.data_dir))
        assert ended.returncode == 2
        assert said in ended.stderr


def test_what_a_person_reads_fits_eighty_columns_and_cuts_no_uid(tmp_path: Path) -> None:
    uid = "1.2.826.0.1.3680043.8.498.10099876543210123456789012345678901234"
    edge = Edge(tmp_path / "node", to=["PACS@127.0.0.1:9"])
    with edge:
        _send(edge, uid)
        _wait(edge, "deliveries_waiting", 1)
    for words in (["status"], ["queue"]):
        lines = edge.command(*words).splitlines()
        assert [line for line in lines if len(line) > 100] == []
    assert uid in edge.command("queue")
    assert uid in edge.command("trace", uid)


def test_a_uid_that_nobody_knows_is_said_with_its_own_exit_code(tmp_path: Path) -> None:
    with Edge(tmp_path / "node") as edge, pytest.raises(CommandFailed) as caught:
        edge.ask("trace", "9.9.9")
    assert caught.value.returncode == 3


WRONG_POLICY = """\
skerry: 1
destinations:
  - {name: p, kind: dicom, ae_title: P, host: h, port: 104}
routes:
  - {name: r, when: 'Modalty == "CT"', to: [p]}
"""


def test_policy_check_names_line_and_column(tmp_path: Path) -> None:
    document = tmp_path / "policy.yaml"
    document.write_text(WRONG_POLICY)
    ended = _run("policy", "check", str(document), "--json")
    assert ended.returncode == 1
    answer = json.loads(ended.stdout)
    assert not answer["valid"]
    assert any(one["line"] == 5 and "Modalty" in one["message"] for one in answer["diagnostics"])
