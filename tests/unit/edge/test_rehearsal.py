"""A dry run decides what came last by the new policy, changes nothing, and says when that went badly."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.buffer.store import Buffer
from edge.policy.document import Policy, load_policy
from edge.rehearsal import rehearse
from edge.sync.probation import Harm, Terms
from tests.edge_samples import routed, take

TERMS = Terms()
DOCUMENT = """\
skerry: 1
destinations:
  - {{name: pacs, kind: folder, path: /nowhere}}
routes:
  - {{name: some, when: '{when}', to: [pacs]}}
"""


def policy(when: str) -> Policy:
    """One route with this condition."""
    return load_policy(DOCUMENT.format(when=when))


EVERYTHING = policy('Modality == "CT"')
NOTHING = policy('Modality == "MR"')
FAILING = policy("10 / InstanceNumber > 1")
"""No sample has an instance number."""


@pytest.fixture
def buffer(tmp_path: Path) -> Iterator[Buffer]:
    buffer = Buffer(tmp_path)
    yield buffer
    buffer.close()


def hold(buffer: Buffer, count: int) -> None:
    """So many instances came and were routed."""
    buffer.admit([routed(take(buffer, f"1.2.3.4.{number}"), "pacs") for number in range(count)])


def codes(data_dir: Path, new: Policy, before: Policy | None) -> str:
    """What a dry run finds."""
    found = rehearse(data_dir, new, before, TERMS)
    return found.code if isinstance(found, Harm) else ""


def test_what_suddenly_goes_nowhere_or_fails_is_found(buffer: Buffer, tmp_path: Path) -> None:
    hold(buffer, 12)
    assert codes(tmp_path, EVERYTHING, EVERYTHING) == ""
    assert codes(tmp_path, NOTHING, EVERYTHING) == "unrouted"
    assert codes(tmp_path, FAILING, EVERYTHING) == "dry_run"
    assert rehearse(tmp_path, FAILING, EVERYTHING, TERMS) == Harm(
        code="dry_run", reason="A condition fails for 12 of the last 12 instances (0% before)."
    )


def test_what_went_badly_before_is_not_held_against_it(buffer: Buffer, tmp_path: Path) -> None:
    hold(buffer, 12)
    assert codes(tmp_path, NOTHING, NOTHING) == ""
    assert codes(tmp_path, FAILING, FAILING) == ""


def test_a_policy_that_names_no_routes_means_it(buffer: Buffer, tmp_path: Path) -> None:
    hold(buffer, 12)
    assert codes(tmp_path, load_policy("skerry: 1\ndestinations: []\nroutes: []\n"), EVERYTHING) == ""


def test_a_few_instances_say_nothing_and_a_first_policy_may_take_what_it_likes(buffer: Buffer, tmp_path: Path) -> None:
    hold(buffer, 9)
    assert codes(tmp_path, NOTHING, EVERYTHING) == ""
    assert codes(tmp_path, FAILING, EVERYTHING) == ""
    hold(buffer, 12)
    assert codes(tmp_path, NOTHING, None) == ""


def test_a_dry_run_changes_nothing_and_an_empty_spool_is_no_harm(buffer: Buffer, tmp_path: Path) -> None:
    assert codes(tmp_path, NOTHING, EVERYTHING) == ""
    hold(buffer, 12)
    before = buffer.counts(), buffer.tally()
    rehearse(tmp_path, NOTHING, EVERYTHING, TERMS)
    assert (buffer.counts(), buffer.tally()) == before
