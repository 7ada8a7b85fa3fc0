"""The run-time side of the import contracts, and promises of the package as a whole."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from edge import errors

ROOT = Path(__file__).resolve().parents[2]
CENTRE = {"fastapi", "sqlalchemy", "uvicorn", "alembic", "psycopg", "control"}
EDGE = {"apsw", "pynetdicom", "edge.node", "edge.buffer"}


def _loaded_by(module: str) -> set[str]:
    code = f"import sys, {module}; print('\\n'.join(sys.modules))"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


def test_an_edge_node_loads_nothing_of_the_centre() -> None:
    assert not CENTRE & _loaded_by("edge.cli")


def test_the_centre_loads_nothing_of_the_edge_but_the_policy_checker() -> None:
    loaded = _loaded_by("control.server")
    assert not EDGE & loaded
    assert "edge.policy.document" in loaded


def test_each_process_of_a_node_loads_only_what_its_work_needs() -> None:
    for kind in ("ingest", "forward"):
        loaded = _loaded_by(f"edge.processes.{kind}")
        assert not loaded & {"cel_expr_python", "grpc", "pydantic.main", "typer", "yaml", "edge.node", "edge.policy"}
    loaded = _loaded_by("edge.processes.supervisor")
    assert not loaded & {"apsw", "prometheus_client", "pydicom", "pydantic", "structlog", "edge.buffer", "edge.node"}
    assert not _loaded_by("edge.processes.core") & {"pynetdicom", "typer", "edge.ingest.door", "edge.forward.lanes"}


def test_an_edge_box_installs_nothing_of_the_centre() -> None:
    names = set(re.findall(r"^([a-z0-9-]+)==", (ROOT / "requirements" / "edge.txt").read_text(), re.MULTILINE))
    assert {"apsw", "pynetdicom", "cel-expr-python"} <= names
    assert not names & {"fastapi", "sqlalchemy", "uvicorn", "alembic", "psycopg", "textual"}


def test_locked_requirements_have_hashes_and_no_index_addresses() -> None:
    for path in (ROOT / "requirements").glob("*.txt"):
        text = path.read_text()
        assert "--hash=sha256:" in text
        assert not re.search(r"https?://|--(extra-)?index-url|--find-links", text), path.name


def test_the_tree_of_edge_errors_names_every_error() -> None:
    classes = {name for name, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, errors.EdgeError)}
    assert errors.__doc__ is not None
    assert all(re.search(rf"\b{name}\b", errors.__doc__) for name in classes)


def _sources() -> list[Path]:
    folders = ("edge", "control", "provisioning", "proto/mesh")
    return [path for folder in folders for path in (ROOT / folder).rglob("*.py") if "_pb2" not in path.name]


@pytest.mark.parametrize("limit", [500])
def test_no_module_outgrows_a_readers_head(limit: int) -> None:
    assert [str(path) for path in _sources() if len(path.read_text().splitlines()) > limit] == []


def test_every_module_says_what_it_is_for() -> None:
    silent = [
        str(path) for path in _sources() if path.stat().st_size and not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert silent == []


def test_nothing_that_is_about_people_is_a_metric_label() -> None:
    text = "".join((ROOT / "edge" / name).read_text() for name in ("metrics.py", "exposition.py"))
    labels = {
        label for group in re.findall(r"\[((?:\"[a-z_]+\"(?:, )?)+)\]", text) for label in re.findall(r"[a-z_]+", group)
    }
    of_nodes = {"code", "severity", "version", "process"}
    of_work = {"reason", "flag", "outcome", "destination", "state", "priority", "standing", "member", "kind"}
    assert labels <= of_nodes | of_work


def test_the_wheel_holds_all_that_the_programs_read_at_run_time(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {
        "edge/buffer/schema.sql",
        "edge/buffer/queries.sql",
        "edge/policy/policy.schema.json",
        "control/static/index.html",
        "control/db/migrations/env.py",
        "mesh/v1/sync_pb2.py",
    } <= names
    assert not [name for name in names if name.startswith(("tests/", ".ci/"))]
