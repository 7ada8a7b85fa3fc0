"""The commands against a real program: they say what is wrong, and take the words that people have."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.control_fixtures import (
    BROKEN_POLICY,
    GOOD_POLICY,
    Run,
    RunningControl,
    commands_of_its_admin,
    control_with_sites,
)
from tests.node_box import enrol_box


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningControl]:
    with control_with_sites(tmp_path_factory.mktemp("commands") / "data") as running:
        yield running


@pytest.fixture
def run(program: RunningControl) -> Run:
    return commands_of_its_admin(program)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("token", "create", "north", "--hours", "0"), "hours: "),
        (("study", "search", "--state", "foo"), "'delivered', 'waiting', 'parked', 'unrouted' or 'superseded'"),
        (("study", "search", "--limit", "0"), "limit: "),
        (("study", "search", "--study-date-from", "yesterday"), "study_date_from: "),
        (("site", "add", "Not A Name"), "lower-case letters"),
    ],
)
def test_a_value_that_cannot_be_used_is_named_with_the_reason(run: Run, words: tuple[str, ...], named: str) -> None:
    refused = run(*words)
    assert refused.returncode == 2
    assert named in refused.stderr
    assert refused.stdout == ""


def test_an_error_is_json_too_when_json_was_asked_for(run: Run) -> None:
    refused = run("study", "search", "--limit", "0", "--json")
    problem = json.loads(refused.stdout)
    assert (problem["code"], problem["status"]) == ("INVALID_REQUEST", 422)
    assert problem["errors"][0]["where"] == ["query", "limit"]
    unreachable = run("site", "list", "--json", "--url", "http://127.0.0.1:9")
    assert json.loads(unreachable.stdout)["code"] == "UNREACHABLE"
    assert "does not answer" in unreachable.stderr


def test_the_help_says_what_values_look_like(run: Run) -> None:
    words = run("study", "search", "--help").stdout
    for told in ("YYYY-MM-DD", "delivered, waiting, parked or unrouted", "1 to 1000"):
        assert told in " ".join(words.split()), words
    assert "1 to 720" in " ".join(run("token", "create", "--help").stdout.split())


def test_a_refused_policy_is_told_like_the_edge_tells_it(run: Run, tmp_path: Path) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_bytes(BROKEN_POLICY)
    refused = run("policy", "publish", "north", str(broken))
    assert refused.returncode == 1
    place = next(line for line in refused.stderr.splitlines() if line.startswith(f"{broken}:6:"))
    assert ": error: " in place
    assert run("policy", "check", str(broken)).stdout.splitlines()[0] == place
    assert json.loads(run("policy", "publish", "north", str(broken), "--json").stdout)["diagnostics"]


def test_publishing_says_what_the_centre_newly_sees(run: Run, tmp_path: Path) -> None:
    narrow, wide = tmp_path / "narrow.yaml", tmp_path / "wide.yaml"
    narrow.write_bytes(GOOD_POLICY + b"privacy: {share: [StudyInstanceUID], pseudonymise: [PatientID]}\n")
    wide.write_bytes(GOOD_POLICY)
    assert run("policy", "publish", "south", str(narrow)).returncode == 0
    published = run("policy", "publish", "south", str(wide))
    assert published.returncode == 0
    assert "warning: the centre sees more" in published.stderr
    assert "pseudonymised: PatientID" in published.stderr
    listed = run("policy", "list", "south").stdout.splitlines()
    assert [line.split()[:2] for line in listed] == [["version", "active"], ["2", "yes"], ["1", "no"]]


def test_the_study_table_shows_what_no_route_took(run: Run) -> None:
    assert "unrouted" in run("study", "search").stdout.split()


def test_a_node_is_revoked_by_its_name_unless_two_bear_it(run: Run, program: RunningControl) -> None:
    api = program.client()
    for site in ("north", "south"):
        enrol_box(api, site, "box")
    both = run("node", "revoke", "box")
    assert both.returncode == 2
    assert "north" in both.stderr
    assert "south" in both.stderr
    assert run("node", "revoke", "box", "--site", "north").returncode == 0
    assert run("node", "revoke", "box").stdout == "Node box of south is revoked.\n"
    assert run("node", "revoke", "box").returncode == 3
    assert run("node", "revoke", "nobody").returncode == 3


def test_the_version_is_told(run: Run) -> None:
    assert run("--version").stdout.strip() == version("skerry")
