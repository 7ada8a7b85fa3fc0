"""Real child processes: none may start half, hang, or stay behind."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from provisioning.errors import ProgramFailed, ProgramMissing
from provisioning.local.ports import free_ports, is_open
from provisioning.local.program import Program, find_program

SERVES = "import time; print('ready now', flush=True); time.sleep(60)"
IGNORES_SIGTERM = (
    "import signal,time; signal.signal(15, signal.SIG_IGN); print('ready now', flush=True); time.sleep(60)"
)
HAS_A_CHILD = (
    "import subprocess,sys,time; c=subprocess.Popen([sys.executable,'-c','import time; time.sleep(60)']);"
    "print('ready', c.pid, flush=True); time.sleep(60)"
)


def python(code: str, folder: Path) -> Program:
    return Program(name="child", argv=[sys.executable, "-c", code], log_dir=folder)


def gone(pid: int, *, seconds: float = 5.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.02)
    return False


def test_a_ready_line_ends_the_wait(tmp_path: Path) -> None:
    with python(SERVES, tmp_path) as program:
        assert program.wait_line("ready", seconds=10) == "ready now"
        assert program.running


def test_a_child_that_ends_before_it_is_ready_is_told_with_its_last_words(tmp_path: Path) -> None:
    with (
        python("raise SystemExit('the disk is gone')", tmp_path) as program,
        pytest.raises(ProgramFailed, match="the disk is gone"),
    ):
        program.wait_line("ready", seconds=10)


def test_a_child_that_never_becomes_ready_is_given_up(tmp_path: Path) -> None:
    with (
        python("import time; time.sleep(60)", tmp_path) as program,
        pytest.raises(ProgramFailed, match="in time"),
    ):
        program.wait_line("ready", seconds=0.3)


def test_a_child_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    program = python(IGNORES_SIGTERM, tmp_path)
    program.start()
    program.wait_line("ready", seconds=10)
    assert program.stop(seconds=0.2) == -9
    assert not program.running


def test_children_of_a_stopped_child_are_gone_too(tmp_path: Path) -> None:
    program = python(HAS_A_CHILD, tmp_path)
    program.start()
    grandchild = int(program.wait_line("ready", seconds=10).split()[1])
    program.stop()
    assert gone(grandchild)


def test_a_child_dies_when_the_process_that_started_it_is_killed(tmp_path: Path) -> None:
    parent = (
        "import sys,time; from pathlib import Path; from provisioning.local.program import Program;"
        f"p=Program(name='child', argv=[sys.executable,'-c',{SERVES!r}], log_dir=Path({str(tmp_path)!r}));"
        "p.start(); p.wait_line('ready'); print(p.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout is not None
        child = int(starter.stdout.readline())
        starter.kill()
    assert gone(child)


def test_a_child_can_be_started_again_and_its_log_goes_on(tmp_path: Path) -> None:
    program = python("import sys; sys.stderr.write('here\\n')", tmp_path)
    for _ in range(2):
        program.start()
        assert program.wait_end(seconds=10) == 0
    assert program.log_text() == "here\nhere\n"


def test_two_processes_are_not_given_the_same_port() -> None:
    script = "from provisioning.local.ports import free_ports; print(*free_ports(150), flush=True); input()"
    started = [
        subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    given = [port for one in started if one.stdout for port in one.stdout.readline().split()]
    for one in started:
        one.communicate("", timeout=10)
    assert len(set(given)) == len(given) == 600


def test_free_ports_are_distinct_and_nobody_listens_there() -> None:
    ports = free_ports(8)
    assert len(set(ports)) == 8
    assert not any(is_open(port) for port in ports)


def test_a_missing_program_is_named_with_its_package() -> None:
    with pytest.raises(ProgramMissing) as missing:
        find_program("no-such-program-here", package="no-such-package")
    assert "apt-get install no-such-package" in missing.value.hint


def test_a_program_of_the_same_name_in_the_virtual_environment_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    own = str(Path(sys.prefix) / "bin")
    monkeypatch.setenv("PATH", own)
    assert (Path(own) / "storescp").exists()  # pynetdicom's
    with pytest.raises(ProgramMissing):
        find_program("storescp", package="dcmtk")
