"""The processes of a running node, seen and hit from outside."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import psutil

from provisioning.local.edge import Edge


def report(edge: Edge) -> dict[str, dict[str, Any]]:
    """What the supervisor says of its children; works without core. Empty before its first word."""
    try:
        found: dict[str, dict[str, Any]] = json.loads((edge.data_dir / "run" / "processes.json").read_text())
    except (OSError, ValueError):
        return {}
    return found


def pid_of(edge: Edge, name: str) -> int | None:
    """The number of a process while it runs."""
    found = report(edge).get(name, {}).get("pid")
    return None if found is None else int(found)


def hit(edge: Edge, name: str, number: signal.Signals = signal.SIGKILL) -> bool:
    """Send a signal to one process of the node; whether it was there."""
    pid = edge.pid if name == "supervisor" else pid_of(edge, name)
    if pid is None or not edge.running:
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
        return True
    return False


def wait_all_serve(edge: Edge, *, ended: int = 0, seconds: float = 30.0) -> None:
    """Return when every process serves, and so many have ended before."""
    deadline = time.monotonic() + seconds
    while True:
        found = report(edge)
        if found and all(one["serves"] for one in found.values()) and ended_so_far(edge) >= ended:
            return
        assert time.monotonic() < deadline, f"{found}\n{edge.log_end()}"
        time.sleep(0.05)


def ended_so_far(edge: Edge) -> int:
    """How many processes ended unexpectedly since the node started."""
    return sum(one["ended"] for one in report(edge).values())


def children(edge: Edge) -> list[psutil.Process]:
    """Every process under the supervisor."""
    return psutil.Process(edge.pid).children(recursive=True)


def memory(pid: int) -> tuple[int, int]:
    """What a process holds in memory, and its share of it when what it shares with others is split; in bytes."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    found = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines if line.startswith(("Rss:", "Pss:"))}
    return found["Rss"], found["Pss"]
