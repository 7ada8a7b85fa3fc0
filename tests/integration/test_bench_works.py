"""`make bench` in its smallest form: every kind of row takes its figures. What they are is not judged here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from provisioning.local.program import is_installed
from tests.real_programs import require

ROOT = Path(__file__).resolve().parents[2]
LINES = {
    "pool.ct.direct",
    "receive.ct.dcmtk",
    "receive4.small.dcmtk",
    "send.small.dcmsend",
    "relay.small.orthanc",
    "relay.small.orthanc.tail",
    "idle.cpu",
    "idle.memory",
    "connects.memory",
    "connects.threads",
    "million.intake",
    "million.start",
    "million.start-after-kill",
    "million.memory",
    "decisions.repeating",
    "decisions.differing",
    "decisions.alike",
}


def test_the_bench_takes_every_kind_of_figure(tmp_path: Path) -> None:
    require("storescp", "dcmsend", "haproxy")
    found = tmp_path / "results.json"
    argv = [sys.executable, "-m", "tests.bench", "--quick", "--folder", str(tmp_path), "--json", str(found)]
    if not is_installed("Orthanc"):
        rows = "receive.ct.dcmtk,receive4.small.dcmtk,pool.ct.direct,send.small.dcmsend"
        argv += ["--rows", f"{rows},idle,connects,million,decisions"]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = {line["name"]: line for line in json.loads(found.read_text())["lines"]}
    assert set(lines) == LINES - (set() if is_installed("Orthanc") else {n for n in LINES if "orthanc" in n})
    assert all(line["ours"] for line in lines.values())
    assert all(name in done.stdout for name in lines)
    assert not list((tmp_path / "run").iterdir()), "no scratch space is left behind"
