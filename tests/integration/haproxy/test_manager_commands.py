"""`skerry-haproxy` as a person at a site uses it: a pool file, no centre, and words to the manager that runs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx2
import psutil
import pytest

from provisioning.local.command import own_script
from provisioning.local.pool_manager import PoolManager
from provisioning.local.ports import LOOPBACK, free_port
from provisioning.local.storescp import StoreScp
from tests.haproxy_pool import association, echoes, short_folder, until
from tests.real_programs import require

POOL = """
skerry_pools: 1
site: north
pools:
  - name: images
    check_seconds: 1
    slow_start_seconds: 0
    listeners:
      - {{name: dicom, kind: dicom, bind: '{bind}', proxy_protocol: false, max_connections: {most}}}
    members:
      - {{node: box-a, addresses: {{dicom: '127.0.0.1:{a}'}}}}
      - {{node: box-b, addresses: {{dicom: '127.0.0.1:{b}'}}}}
"""

BIND = "skerry_pools: 1\npools: [{name: x, listeners: [{name: d, kind: dicom, bind: '1.2.3.4'}]}]"


class Box:
    """A manager that follows a pool file, and two receivers."""

    def __init__(self, manager: PoolManager, pool: Path, port: int, a: int, b: int) -> None:
        self.manager, self.pool, self.port, self.a, self.b = manager, pool, port, a, b

    def save(self, text: str = POOL, *, most: int = 100) -> None:
        self.pool.write_text(text.format(bind=f"{LOOPBACK}:{self.port}", most=most, a=self.a, b=self.b))

    def working(self) -> set[str]:
        members = self.manager.facts()["members"]
        return {one["node"] for one in members if one["up"] and one["admin"] == "ready" and one["check"] == "L7OK"}

    def codes(self) -> set[str]:
        return {held["code"] for held in self.manager.facts()["conditions"]}


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    require("haproxy")
    with (
        StoreScp(tmp_path / "a", name="a") as one,
        StoreScp(tmp_path / "b", name="b") as two,
        short_folder() as folder,
    ):
        manager = PoolManager(folder / "d", pool=folder / "pool.yaml", log_dir=tmp_path / "log")
        box = Box(manager, folder / "pool.yaml", free_port(), one.port, two.port)
        box.save()
        with manager:
            until(lambda: box.working() == {"box-a", "box-b"}, "both members work")
            yield box


def command(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [own_script("skerry-haproxy"), *words], capture_output=True, text=True, timeout=30, check=False
    )


def test_a_node_is_drained_and_brought_back_by_hand(box: Box) -> None:
    data = str(box.manager.data_dir)
    dry = command("drain", "box-a", "--data-dir", data, "--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert "images.dicom: box-b left, 50% of the capacity" in dry.stdout
    assert box.working() == {"box-a", "box-b"}
    done = command("drain", "box-a", "--data-dir", data, "--wait", "--deadline", "20", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["states"] == {"images.dicom": "maint"}
    last = command("drain", "box-b", "--data-dir", data)
    assert last.returncode == 1
    assert "box-b is the last member that works" in last.stderr
    assert "--last" in last.stderr
    assert command("drain", "box-c", "--data-dir", data).returncode == 3
    status = command("status", "--data-dir", data)
    assert "images.dicom: 1 of 2 work" in status.stdout
    assert command("ready", "box-a", "--data-dir", data).returncode == 0
    until(lambda: box.working() == {"box-a", "box-b"}, "it is back")
    assert command("status", "--data-dir", data).returncode == 0
    assert command("weight", "box-a", "20", "--data-dir", data).returncode == 0
    until(lambda: {one["weight"] for one in box.manager.facts()["members"]} == {20, 100}, "another share")


def test_a_pool_file_that_is_saved_goes_live_and_a_wrong_one_does_not(box: Box) -> None:
    reloads = box.manager.facts()["reloads"]
    with association(box.port) as opened:
        box.save(POOL + "  # a remark\n", most=77)
        until(lambda: box.manager.facts()["reloads"] == reloads + 1, "the new one", seconds=20)
        box.save("skerry_pools: 1\npools: [{{name: images, listeners: []}}]\n")
        until(lambda: "pool-file-wrong" in box.codes(), "a condition")
        assert echoes(opened)
        assert box.working() == {"box-a", "box-b"}
        box.save(most=77)
        until(lambda: "pool-file-wrong" not in box.codes(), "it is mended", seconds=20)


def test_haproxy_needs_no_manager_and_a_killed_manager_finds_it_again(box: Box) -> None:
    with association(box.port) as opened:
        os.kill(box.manager.pid, signal.SIGKILL)
        until(lambda: not psutil.pid_exists(box.manager.pid) or not box.manager.running, "it is dead")
        assert echoes(opened)
        box.manager.stop()
        box.manager.start()
        until(lambda: len(box.manager.facts()["members"]) == 2, "it found everything")
        assert box.manager.facts()["reloads"] == 0
        assert echoes(opened)


def test_health_and_metrics_are_there_over_http(box: Box) -> None:
    with httpx2.Client(base_url=box.manager.http_url, trust_env=False) as client:
        assert client.get("/healthz").status_code == 200
        assert client.get("/readyz").status_code == 200
        text = client.get("/metrics").text
    assert "skerry_haproxy_up 1" in text
    assert "skerry_haproxy_exporter_up 1" in text
    assert 'haproxy_server_weight{proxy="images.dicom",server="box-a"}' in text


def test_a_second_manager_of_the_same_folder_is_refused(box: Box) -> None:
    second = command("run", "--data-dir", str(box.manager.data_dir), "--http", f"{LOOPBACK}:{free_port()}")
    assert second.returncode == 1
    assert "another skerry-haproxy owns" in second.stderr


def test_a_pool_file_is_judged_without_a_manager(tmp_path: Path) -> None:
    require("haproxy")
    good = tmp_path / "pool.yaml"
    good.write_text(POOL.format(bind=f"{LOOPBACK}:{free_port()}", most=100, a=104, b=105))
    judged = command("check", str(good))
    assert judged.returncode == 0, judged.stderr
    assert "images.dicom on 127.0.0.1:" in judged.stdout
    assert "listen images.dicom" in command("render", str(good)).stdout


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (BIND, "pools[0].listeners[0].bind: must be HOST:PORT"),
        ("skerry_pools: 1\npool: []", "pool is no key that is known here"),
        ("skerry_pools: 1\npools: []\npools: []", "line 3, column 1: 'pools' is there twice"),
        ("a: &x [1]\nb: *x", "aliases are not taken here"),
        ("a: [", "line 1"),
        ("", "no document of pools"),
        ("skerry_pools: 2\npools: []", "skerry_pools"),
    ],
)  # fmt: skip
def test_a_wrong_pool_file_is_named_with_its_place(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "pool.yaml"
    path.write_text(text)
    judged = command("check", str(path), "--json")
    assert judged.returncode == 2
    assert words in judged.stderr
    assert set(json.loads(judged.stdout)) == {"error", "hint"}
