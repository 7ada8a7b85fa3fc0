"""The committed OpenAPI document is the one of the routes, and the running program does what it says."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from control.openapi_file import text
from tests.control_fixtures import running_control

ROOT = Path(__file__).parents[2]
CONFIGURED = Path(__file__).parent / "schemathesis"


def test_the_committed_document_is_the_one_of_the_routes() -> None:
    committed = (ROOT / "control" / "openapi.json").read_text()
    assert text() == committed, "the API changed: look at what, then run `make openapi`"


def test_generated_requests_find_nothing_that_the_document_does_not_say(tmp_path: Path) -> None:
    # The phase that walks through every boundary of every field takes a minute: see `make api-fuzz`.
    examples = os.environ.get("SKERRY_SCHEMATHESIS_EXAMPLES", "")
    phases = "examples,coverage,fuzzing,stateful" if examples else "examples,fuzzing,stateful"
    asking = shutil.copytree(CONFIGURED, tmp_path / "asking")  # it leaves a cache where it runs
    with running_control(tmp_path / "data") as control, closing(control.client()) as api:
        api.post("/api/v1/sites", json={"name": "north"}).raise_for_status()
        key = api.post("/api/v1/api-keys", json={"name": "robot", "role": "admin"}).json()["key"]
        found = subprocess.run(
            [
                *(sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()"),
                *("--config-file", "schemathesis.toml", "--no-color"),
                *("run", f"{control.url}/api/v1/openapi.json", "-H", f"Authorization: Bearer {key}"),
                *("--checks", "all", "--phases", phases, "-n", examples or "2", "--seed", "1"),
                # One worker: Python 3.11 cannot parse in two threads at once without now and then failing.
                *("--continue-on-failure", "--generation-database", "none", "--workers", "1"),
            ],
            cwd=asking,
            env=os.environ | {"NO_PROXY": "127.0.0.1"},
            capture_output=True,
            text=True,
            timeout=880,
            check=False,
        )
    assert found.returncode == 0, found.stdout[-6000:] + found.stderr[-2000:]
    assert "passed" in found.stdout
