"""What all tests share: the figures that they measure are printed at the end of the run, whichever worker ran them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge.buffer.store import Buffer
from provisioning.local.storescp import StoreScp
from tests.real_programs import require
from tests.standings import check_standings, databases

# Enough for slots to be used again in every node that a test starts, and no gigabyte for each of them.
os.environ.setdefault("SKERRY_EDGE_READY_SPOOL_BYTES", str(16 << 20))
# Two workers share two cores; what several ingest processes do together is asked by tests that say how many they want.
os.environ.setdefault("SKERRY_EDGE_INGEST_PROCESSES", "1")

Figures = Callable[[str], None]


@pytest.fixture
def figures(record_property: Callable[[str, object], None]) -> Figures:
    """Tell a figure: one line in the summary of the run."""
    return lambda line: record_property("figure", line)


@pytest.fixture
def buffer(tmp_path: Path) -> Iterator[Buffer]:
    """An empty one, of a node in `tmp_path / "node"`."""
    opened = Buffer(tmp_path / "node")
    yield opened
    opened.close()


@pytest.fixture
def pacs(tmp_path: Path) -> Iterator[StoreScp]:
    """A receiver of DCMTK that keeps what it gets in `tmp_path / "pacs"`."""
    require("storescp")
    with StoreScp(tmp_path / "pacs") as program:
        yield program


@pytest.fixture(autouse=True)
def _every_instance_stands_in_one_place(request: pytest.FixtureRequest) -> Iterator[None]:
    """After each test with nodes of its own: the sums of their buffers are those of their deliveries."""
    folder: Path | None = request.getfixturevalue("tmp_path") if "tmp_path" in request.fixturenames else None
    yield
    if folder is not None and "any_database" not in request.keywords:
        for database in databases(folder):
            check_standings(database)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print every figure that was told."""
    lines = [
        str(value)
        for reports in terminalreporter.stats.values()
        for report in reports
        for name, value in getattr(report, "user_properties", [])
        if name == "figure"
    ]
    if lines:
        terminalreporter.section("figures")
        for line in sorted(set(lines)):
            terminalreporter.write_line(line)
