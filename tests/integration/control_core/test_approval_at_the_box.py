"""Approval from both sides: the two programs, over HTTPS, with the words that people type."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.sync.identity import load_identity
from provisioning.local.command import own_script
from tests.control_fixtures import RunningControl, control_command, running_control


@pytest.fixture(scope="module")
def control(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningControl]:
    with running_control(tmp_path_factory.mktemp("centre")) as control:
        _ask(control, "site", "add", "north")
        yield control


def _run(control: RunningControl, *words: str) -> subprocess.CompletedProcess[str]:
    login = ("--url", control.url, "--password-file", str(control.data_dir / "admin-password"))
    return subprocess.run(control_command(*words, *login), capture_output=True, text=True, timeout=60, check=False)


def _ask(control: RunningControl, *words: str) -> str:
    done = _run(control, *words)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _box(home: Path, token: str, *options: str) -> subprocess.Popen[str]:
    home.mkdir(exist_ok=True)
    (home / "token").write_text(token)
    words = ("enrol", "--data-dir", str(home / "node"), "--token-file", str(home / "token"), "--name", "ct-room")
    return subprocess.Popen(
        [own_script("skerry-edge"), *words, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
    )


def _pending(control: RunningControl) -> dict[str, str]:
    deadline = time.monotonic() + 30
    while not (found := json.loads(_ask(control, "node", "pending", "--json"))):
        assert time.monotonic() < deadline, "no box waits"
        time.sleep(0.2)
    (one,) = found
    return dict(one)


def test_a_technician_and_an_administrator_let_a_box_in(control: RunningControl, tmp_path: Path) -> None:
    token = json.loads(_ask(control, "token", "create", "north", "--needs-approval", "--json"))["token"]
    gone = _box(tmp_path, token, "--no-wait")
    _, said = gone.communicate(timeout=60)
    assert gone.returncode == 1
    waits = _pending(control)
    assert waits["spoken_fingerprint"] in said
    assert waits["id"] in said
    box = _box(tmp_path, token)  # the box was started anew meanwhile
    try:
        assert "Nothing was changed" in _ask(control, "node", "approve", waits["id"], "--dry-run")
        assert box.poll() is None
        assert "is a node now" in _ask(control, "node", "approve", waits["id"])
        told, shown = box.communicate(timeout=60)
    finally:
        box.kill()
    assert box.returncode == 0, shown
    assert waits["id"] in told
    assert shown == "" or waits["spoken_fingerprint"] in shown
    identity = load_identity(tmp_path / "node")
    assert identity is not None
    assert identity.node_id == waits["id"]
    assert "No box waits." in _ask(control, "node", "pending")
    assert [one["id"] for one in json.loads(_ask(control, "node", "list", "--json"))] == [waits["id"]]
    assert _run(control, "node", "reject", waits["id"], "--reason", "late").returncode == 4


def test_a_site_lets_every_box_wait_and_one_is_sent_away_with_a_reason(control: RunningControl, tmp_path: Path) -> None:
    _ask(control, "site", "approval", "north", "on")
    token = json.loads(_ask(control, "token", "create", "north", "--json"))["token"]
    box = _box(tmp_path, token)
    try:
        waits = _pending(control)
        _ask(control, "node", "reject", waits["id"], "--reason", "no such room")
        _, said = box.communicate(timeout=60)
    finally:
        box.kill()
    assert box.returncode == 1
    assert "no such room" in said
    assert load_identity(tmp_path / "node") is None
    again = _box(tmp_path, token)
    _, said = again.communicate(timeout=60)
    assert again.returncode == 1
    assert "used already" in said
    actions = [one["action"] for one in json.loads(_ask(control, "audit", "list", "--json"))]
    assert {"site.approval", "enrolment.ask", "enrolment.reject"} <= set(actions)
