"""`make demo` as a newcomer runs it, behind the set-up."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.real_programs import require

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(autouse=True)
def programs() -> None:
    require("storescp", "dcmsend", "mosquitto", "haproxy")


@contextmanager
def demo(folder: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    argv = [sys.executable, "-m", "provisioning.demo", *options]
    with subprocess.Popen(argv, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def left_running(folder: Path) -> list[str]:
    """Processes that work in this folder: each has a path below it in its arguments, or stands in it."""
    found = []
    for process in psutil.process_iter(["pid", "cmdline", "cwd", "status"]):
        words = " ".join(process.info["cmdline"] or [])
        inside = str(folder) in words or (process.info["cwd"] or "").startswith(str(folder))
        if inside and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(words)
    return found


def test_one_full_pass_delivers_and_indexes_everything_and_leaves_nothing(tmp_path: Path) -> None:
    with demo(tmp_path, "--once") as process:
        words, _ = process.communicate(timeout=200)
    last = words.splitlines()[-1]
    found = re.fullmatch(r"demo: sent (\d+) delivered (\d+) indexed (\d+) lost 0", last)
    assert found, words
    assert int(found[1]) == int(found[2]) == int(found[3]) > 300
    assert process.returncode == 0
    assert max(map(len, words.splitlines())) <= 120
    assert "altered copies" in words
    assert "north-1 was started anew, and gets associations again" in words
    assert "password" not in words, "the file is gone when the pass is over"
    assert not (tmp_path / ".demo").exists()
    assert left_running(tmp_path) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_leaves_nothing_running_and_nothing_on_disk(tmp_path: Path, number: signal.Signals) -> None:
    with demo(tmp_path, "--once") as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "site north is up" in line:
                break
        assert len(left_running(tmp_path)) > 4
        process.send_signal(number)
        process.stdout.read()
        assert process.wait(60) == 130
    assert left_running(tmp_path) == []
    assert not (tmp_path / ".demo").exists()


def test_when_the_demo_itself_is_killed_its_programs_die_with_it(tmp_path: Path) -> None:
    with demo(tmp_path, "--once") as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "site north is up" in line:
                break
        process.kill()
        process.wait(10)
    deadline = time.monotonic() + 10
    while left_running(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert left_running(tmp_path) == []
