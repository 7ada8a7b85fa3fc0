"""Routes that wait for a series or study: how that is written, what it means, and what is told of it."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from edge.model import AssociationFacts, Priority, TagSet
from edge.policy.document import check_policy, load_policy
from edge.policy.match import decide

HEAD = """skerry: 1
destinations:
  - {name: pacs, kind: dicom, ae_title: PACS, host: 10.0.0.5, port: 104}
  - {name: ai, kind: dicom, ae_title: AI, host: 10.0.0.6, port: 104}
routes:
"""
FACTS = AssociationFacts(calling_ae_title="CT01", called_ae_title="SKERRY", peer_address="10.0.0.9")
CT = TagSet(values={"Modality": "CT", "StudyDescription": "STROKE"})


def told(routes: str) -> list[tuple[str, int, str]]:
    """What is told of these routes: how bad, which line of them, and in which words."""
    return [(one.severity, one.line - 5, f"{one.message} {one.hint}") for one in check_policy(HEAD + routes)]


@pytest.mark.parametrize(
    ("written", "scope", "quiet", "at_most"),
    [
        ("study", "study", 60, 1800),
        ("series", "series", 60, 1800),
        ("{for: study}", "study", 60, 1800),
        ("{for: series, quiet: 20s, at_most: 2h}", "series", 20, 7200),
    ],
)
def test_a_wait_may_be_short_or_in_full(written: str, scope: str, quiet: int, at_most: int) -> None:
    policy = load_policy(HEAD + f"  - {{name: r, to: [pacs, ai], wait: {written}}}\n")
    wait = decide(policy, FACTS, CT).waits["ai"]
    assert (wait.route, wait.scope) == ("r", scope)
    assert (wait.quiet, wait.at_most) == (timedelta(seconds=quiet), timedelta(seconds=at_most))


@pytest.mark.parametrize(
    ("written", "missing"),
    [("study", 600), ("{for: study, quiet: 20m}", 1200), ("{for: series, missing: 90s}", 90)],
)
def test_announced_images_are_waited_for_ten_minutes_unless_the_policy_says_otherwise(
    written: str, missing: int
) -> None:
    policy = load_policy(HEAD + f"  - {{name: r, to: [pacs, ai], wait: {written}}}\n")
    assert decide(policy, FACTS, CT).waits["ai"].missing == timedelta(seconds=missing)


def test_a_route_that_does_not_wait_sends_at_once_what_another_waits_for() -> None:
    policy = load_policy(
        HEAD
        + "  - {name: ct, when: 'Modality == \"CT\"', to: [pacs, ai], wait: study}\n"
        + "  - {name: stroke, when: 'StudyDescription == \"STROKE\"', to: [pacs], priority: stat}\n"
    )
    decision = decide(policy, FACTS, CT)
    assert decision.waits.keys() == {"ai"}
    assert decision.priorities == {"pacs": Priority.STAT, "ai": Priority.NORMAL}
    quiet = decide(policy, FACTS, TagSet(values={"Modality": "CT", "StudyDescription": "CHEST"}))
    assert quiet.waits.keys() == {"pacs", "ai"}


def test_of_several_that_wait_the_first_of_the_policy_counts() -> None:
    policy = load_policy(
        HEAD + "  - {name: one, to: [pacs], wait: series}\n  - {name: two, to: [pacs, ai], wait: study}\n"
    )
    waits = decide(policy, FACTS, CT).waits
    assert (waits["pacs"].route, waits["ai"].route) == ("one", "two")


@pytest.mark.parametrize(
    ("wait", "words"),
    [
        ("studies", "`wait` must be `series` or `study`"),
        ("5", "`wait` must be `series`, `study`, or a group of keys"),
        ("{for: studies}", "`for` must be `series` or `study`"),
        ("{quiet: 60s}", "`for` is missing in routes[1].wait"),
        ("{for: study, quiet: 60}", "`quiet` must be a duration"),
        ("{for: study, quite: 60s}", "Did you mean `quiet`?"),
        ("{for: study, quiet: 0s}", "`quiet` must be at least 1s"),
        ("{for: study, at_most: 8d}", "`at_most` must be at most 7d"),
        ("{for: study, quiet: 10m, at_most: 5m}", "`at_most`, 5m, is shorter than `quiet`, 10m"),
        ("{for: study, quiet: 5m, missing: 2m}", "`missing`, 2m, is shorter than `quiet`, 5m"),
        ("{for: study, missing: 8d}", "`missing` must be at most 7d"),
        ("{for: study, quiet: 40m}", "`at_most`, 30m, is shorter than `quiet`, 40m"),
    ],
)
def test_a_wait_that_cannot_be_is_told_where_it_stands(wait: str, words: str) -> None:
    found = told(f"  - name: r\n    to: [pacs, ai]\n    wait: {wait}\n")
    assert len(found) == 1, found
    severity, line, text = found[0]
    assert (severity, line) == ("error", 3)
    assert words in text


def test_a_wait_that_another_route_makes_useless_is_warned_of() -> None:
    found = told("  - {name: all, to: [pacs, ai]}\n  - {name: ct, when: 'Modality == \"CT\"', to: [ai], wait: study}\n")
    assert ("warning", 2) in {one[:2] for one in found}
    assert any("waits for nothing: `all` sends all of it there at once" in text for _severity, _line, text in found)


def test_a_route_is_no_copy_of_one_that_waits() -> None:
    found = told("  - {name: all, to: [pacs, ai], wait: study}\n  - {name: ct, when: 'Modality == \"CT\"', to: [ai]}\n")
    assert found == []


def test_editors_offer_both_ways_to_write_it() -> None:
    schema = json.loads(Path("edge/policy/policy.schema.json").read_text())
    offered = json.dumps(schema["$defs"]["RouteModel"]["properties"]["wait"])
    assert "WaitModel" in offered
    assert '"series", "study"' in offered
    assert "for" in schema["$defs"]["WaitModel"]["properties"]
