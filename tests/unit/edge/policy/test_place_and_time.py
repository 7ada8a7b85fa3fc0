"""A condition may ask where the node stands, and when an image came by the clock of the policy's zone."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from edge.model import AssociationFacts, TagSet
from edge.policy.document import check_policy, load_policy
from edge.policy.match import decide
from edge.policy.placing import placed

FACTS = AssociationFacts(calling_ae_title="CT01", called_ae_title="SKERRY", peer_address="10.0.0.7")
DOCUMENT = """skerry: 1
{zone}destinations: [{{name: pacs, kind: folder, path: /x}}]
routes:
  - name: asked
    when: {when}
    to: [pacs]
"""


def goes(when: str, at: datetime, *, site: str = "north", zone: str = "zone: Europe/Berlin\n") -> bool:
    policy = load_policy(DOCUMENT.format(zone=zone, when=f"'{when}'"))
    facts = placed(policy, FACTS, site=site, received_at=at)
    return bool(decide(policy, facts, TagSet(values={})).destinations)


@pytest.mark.parametrize(
    ("at", "night"),
    [
        (datetime(2026, 7, 1, 15, 59, tzinfo=UTC), False),  # 17:59 in summer
        (datetime(2026, 7, 1, 16, 0, tzinfo=UTC), True),
        (datetime(2026, 1, 7, 16, 30, tzinfo=UTC), False),  # 17:30 in winter
        (datetime(2026, 1, 7, 17, 0, tzinfo=UTC), True),
        (datetime(2026, 1, 7, 5, 59, tzinfo=UTC), True),  # 06:59
        (datetime(2026, 1, 7, 6, 0, tzinfo=UTC), False),
        (datetime(2026, 1, 9, 23, 30, tzinfo=UTC), True),  # Saturday there, Friday in UTC
        (datetime(2026, 1, 10, 12, 0, tzinfo=UTC), True),
    ],
)
def test_nights_and_weekends_are_those_of_the_zone(at: datetime, night: bool) -> None:
    when = 'received_time >= "18:00" || received_time < "07:00" || received_day in ["sat", "sun"]'
    assert goes(when, at) is night


def test_one_policy_serves_several_sites() -> None:
    now = datetime(2026, 1, 7, tzinfo=UTC)
    assert goes('site == "north"', now, zone="")
    assert not goes('site == "north"', now, site="south", zone="")


def test_a_decision_of_the_evening_is_not_remembered_for_the_morning() -> None:
    policy = load_policy(DOCUMENT.format(zone="zone: UTC\n", when="'received_time >= \"18:00\"'"))
    for hour, wanted in ((19, 1), (7, 0), (20, 1), (7, 0)):
        facts = placed(policy, FACTS, site="", received_at=datetime(2026, 1, 7, hour, tzinfo=UTC))
        assert len(decide(policy, facts, TagSet(values={})).destinations) == wanted


def test_a_policy_that_asks_for_neither_leaves_the_facts_as_they_are() -> None:
    policy = load_policy(DOCUMENT.format(zone="", when='calling_ae_title == "CT01"'))
    assert placed(policy, FACTS, site="north", received_at=datetime(2026, 1, 7, tzinfo=UTC)) is FACTS


def test_a_clock_without_a_zone_is_an_error_at_its_condition() -> None:
    (found,) = check_policy(DOCUMENT.format(zone="", when="'received_day == \"sat\"'"))
    assert (found.severity, found.line) == ("error", 5)
    assert "`received_day` needs a time zone" in found.message
    assert "zone: Europe/Berlin" in found.hint


def test_a_zone_that_nobody_knows_is_an_error_with_the_nearest() -> None:
    (found,) = check_policy(DOCUMENT.format(zone="zone: Europe/Berlim\n", when="'site == \"x\"'"))
    assert (found.severity, found.line, found.hint) == ("error", 2, "Did you mean `Europe/Berlin`?")
