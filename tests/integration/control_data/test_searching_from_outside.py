"""Search and trace as people and programs use them: over REST, as CSV, and by command."""

from __future__ import annotations

import asyncio
import csv
import io
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx2
import pytest

from control.clock import utcnow
from control.db.session import open_database
from control.inbox.batch import Sender
from control.inbox.service import InboxService
from control.nodes.models import Node
from control.sites.models import Site
from control.studies import export
from mesh.v1 import sync_pb2
from tests.control_fixtures import RunningControl, control_command, running_control
from tests.mesh_events import batch, changed, received

DOCUMENT = Path(__file__).parents[3] / "docs" / "search.md"
EXAMPLE = {"PatientID": "123", "Modality": "CT", "StudyDate": "20261120", "PatientName": "=cmd()^JANE"}


async def _tell(url: str, site: str, events: list[sync_pb2.Event]) -> None:
    database = open_database(url)
    await InboxService(database, utcnow).push(Sender(node_id=f"{site}-1", site=site), batch(events))
    await database.close()


async def _silent_site(url: str) -> None:
    """A site with one node that was last heard of an hour ago."""
    now = utcnow()
    database = open_database(url)
    async with database.transaction() as session:
        session.add(Site(id=1, name="north", created_at=now))
        await session.flush()
        session.add(
            Node(
                id="north-1", site_id=1, name="box", key_fingerprint="", certificate_ends=now, enrolled_at=now,
                last_contact_at=now - timedelta(hours=1),
            )
        )  # fmt: skip
    await database.close()


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningControl]:
    with running_control(tmp_path_factory.mktemp("searching") / "data") as running:
        url = f"sqlite:///{running.data_dir / 'control.db'}"
        events = [received(n, tags=EXAMPLE) for n in (1, 2)] + [changed(3, 1, "parked", study="1.2.3")]
        events += [received(n, study=f"7.{n}", tags={"PatientID": f"B-{n}"}) for n in range(10, 22)]
        asyncio.run(_tell(url, "north", events))
        asyncio.run(_silent_site(url))
        yield running


@pytest.fixture
def browser(program: RunningControl) -> Iterator[httpx2.Client]:
    client = program.client()
    yield client
    client.close()


def test_a_filter_is_answered_over_rest_together_with_the_older_parameters(browser: httpx2.Client) -> None:
    asked = {"filter": "PatientID = 123 AND NOT State = delivered", "modality": "CT"}
    found = browser.get("/api/v1/studies", params=asked).json()
    assert [one["study_instance_uid"] for one in found["items"]] == ["1.2.3"]
    assert browser.get("/api/v1/studies", params=asked | {"modality": "MR"}).json()["items"] == []
    assert len(browser.get("/api/v1/studies", params={"filter": " "}).json()["items"]) == 13


def test_a_filter_that_cannot_be_understood_is_a_problem_with_a_place(browser: httpx2.Client) -> None:
    for headers in ({}, {"Accept": "text/csv"}):
        answer = browser.get("/api/v1/studies", params={"filter": "Patient = ROE"}, headers=headers)
        assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
        problem = answer.json()
        assert (problem["code"], problem["position"]) == ("INVALID_FILTER", 1)
        assert "PatientID" in problem["suggestions"]
        assert "ROE" not in answer.text


def test_csv_has_every_study_that_fits_and_says_which_sites_are_silent(browser: httpx2.Client) -> None:
    for asked in ({"params": {"format": "csv"}}, {"headers": {"Accept": "text/csv"}}):
        answer = browser.get("/api/v1/studies", **asked)  # type: ignore[arg-type]
        assert answer.headers["content-type"] == "text/csv; charset=utf-8"
        rows = list(csv.DictReader(io.StringIO(answer.text)))
        assert len(rows) == 13
        assert tuple(rows[0]) == export.COLUMNS
        mine = next(row for row in rows if row["study_instance_uid"] == "1.2.3")
        assert (mine["received"], mine["parked"], mine["waiting"], mine["modalities"]) == ("2", "1", "1", "CT")
        assert re.fullmatch(r"north last heard at \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", mine["silent_sites"])
    limited = browser.get("/api/v1/studies", params={"format": "csv", "limit": 5})
    assert len(list(csv.reader(io.StringIO(limited.text)))) == 6


def test_no_cell_of_csv_is_a_formula(browser: httpx2.Client) -> None:
    text = browser.get("/api/v1/studies", params={"format": "csv", "filter": "PatientID = 123"}).text
    (row,) = csv.DictReader(io.StringIO(text))
    assert row["patient_name"] == "'=cmd()^JANE"


def test_json_is_answered_to_who_takes_both(browser: httpx2.Client) -> None:
    for accept in ("application/json, text/csv", "*/*", "text/html"):
        answer = browser.get("/api/v1/studies", headers={"Accept": accept})
        assert answer.headers["content-type"] == "application/json", accept


def run(program: RunningControl, *words: str) -> subprocess.CompletedProcess[str]:
    environment = dict(os.environ) | {
        "SKERRY_URL": program.url,
        "SKERRY_PASSWORD_FILE": str(program.data_dir / "admin-password"),
    }
    return subprocess.run(
        control_command(*words), capture_output=True, text=True, timeout=60, check=False, env=environment
    )


def test_every_example_of_the_document_finds_something(program: RunningControl) -> None:
    lines = re.findall(r"^skerry-control ((?:search|trace) .+)$", DOCUMENT.read_text(), re.MULTILINE)
    assert len(lines) == 4
    for line in lines:
        words = shlex.split(line, comments=True)
        shown = run(program, *words)
        assert shown.returncode == 0, (line, shown.stderr)
        assert "1.2.3" in shown.stdout, line
        if "--csv" not in words:
            assert "north was last heard of at" in shown.stderr, line


def test_one_object_is_traced_by_its_own_uid_and_an_unknown_one_is_not_found(program: RunningControl) -> None:
    shown = run(program, "trace", "1.2.3.1.1")
    assert "all-ct" in shown.stdout
    assert "pacs:parked" in shown.stdout
    assert len(shown.stdout.splitlines()) == 2
    assert run(program, "trace", "9.9").returncode == 3


def test_a_filter_that_cannot_be_understood_is_shown_with_its_place(program: RunningControl) -> None:
    refused = run(program, "search", "Site = north AND Modalty = CT")
    assert refused.returncode == 2
    assert refused.stderr.splitlines()[:2] == ["Site = north AND Modalty = CT", " " * 17 + "^"]
    assert "Perhaps Modality?" in refused.stderr
