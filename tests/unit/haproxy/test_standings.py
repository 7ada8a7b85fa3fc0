"""What holds for a member is what was said last, by whomever; hours of maintenance follow the clock of their zone."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haproxy.errors import LastMember
from haproxy.manager import saying
from haproxy.manager.interface import MemberReport
from haproxy.manager.standing import Standing, standings
from haproxy.manager.windows import open_since
from haproxy.manager.words import Said, StateWord, WeightWord
from mesh.pools import MaintenanceModel, PoolsDocument, State
from tests.haproxy_pool import document

NOON = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)


def hours(
    begin: str, end: str, *, zone: str = "UTC", node: str = "a", days: list[str] | None = None
) -> MaintenanceModel:
    return MaintenanceModel.model_validate({"node": node, "from": begin, "until": end, "zone": zone, "days": days})


def pools(*, state: State = "ready", since: int = 0, deadline: int = 0, weight: int = 100) -> PoolsDocument:
    asked = document(11112, {"a": 1, "b": 2})
    member = (
        asked.pools[0]
        .members[0]
        .model_copy(update={"state": state, "since": since, "deadline": deadline, "weight": weight})
    )
    pool = asked.pools[0].model_copy(update={"members": [member, asked.pools[0].members[1]]})
    return asked.model_copy(update={"pools": [pool]})


def of_a(asked: PoolsDocument, said: Said = Said(), now: datetime = NOON, **options: Any) -> Standing:  # noqa: B008
    return standings(asked, said, now, **options)["images", "a"]


def said(state: State, since: int, deadline: int = 0, **more: Any) -> Said:
    return Said(states={"a": StateWord(state=state, since=since, deadline=deadline)}, **more)


def test_the_later_word_of_the_centre_and_the_site_holds() -> None:
    assert of_a(pools(state="drain", since=10), said("ready", 11)).state == "ready"
    assert of_a(pools(state="drain", since=12), said("ready", 11)).state == "drain"
    assert of_a(pools(state="drain", since=11), said("ready", 11)).source == "site", (
        "of two at once, the one on the spot"
    )


def test_a_drain_is_maint_at_its_deadline_or_when_it_is_done() -> None:
    now = int(NOON.timestamp())
    assert of_a(pools(state="drain", since=10, deadline=now + 1)).state == "drain"
    assert of_a(pools(state="drain", since=10, deadline=now)).state == "maint"
    assert of_a(pools(state="drain", since=10), Said(drained={"a": 10})).state == "maint"
    assert of_a(pools(state="drain", since=11), Said(drained={"a": 10})).state == "drain", "it was another drain"


def test_a_weight_said_at_the_site_holds_until_the_document_asks_for_another_one() -> None:
    word = Said(weights={"a": WeightWord(weight=20, since=5, instead_of=100)})
    assert of_a(pools(weight=100), word).weight == 20
    assert of_a(pools(weight=80), word).weight == 80


@given(
    st.sampled_from(["ready", "drain", "maint"]),
    st.integers(0, 1000),
    st.sampled_from(["ready", "drain", "maint"]),
    st.integers(0, 1000),
)
def test_what_was_said_is_always_one_of_the_claims_and_none_is_later(
    centre: State, at: int, site: State, then: int
) -> None:
    found = of_a(pools(state=centre, since=at), said(site, then))
    assert (found.said, found.since) in {(centre, at), (site, then)}
    assert found.since == max(at, then)


@pytest.mark.parametrize(
    ("begin", "end", "zone", "now", "since"),
    [
        ("02:00", "04:00", "UTC", "2026-06-01T03:59:59", "2026-06-01T02:00:00"),
        ("02:00", "04:00", "UTC", "2026-06-01T04:00:00", None),
        ("02:00", "04:00", "UTC", "2026-06-01T01:59:59", None),
        ("22:00", "04:00", "UTC", "2026-06-02T03:00:00", "2026-06-01T22:00:00"),
        ("02:00", "04:00", "Europe/Berlin", "2026-06-01T00:30:00", "2026-06-01T00:00:00"),
        ("02:00", "04:00", "Europe/Berlin", "2026-01-01T00:30:00", None),
        # 02:30 does not exist on the night in which clocks go forward; the hours begin and end all the same.
        ("01:30", "03:30", "Europe/Berlin", "2026-03-29T01:15:00", "2026-03-29T00:30:00"),
    ],
)
def test_hours_are_those_of_their_zone(begin: str, end: str, zone: str, now: str, since: str | None) -> None:
    at = datetime.fromisoformat(now).replace(tzinfo=UTC)
    wanted = None if since is None else int(datetime.fromisoformat(since).replace(tzinfo=UTC).timestamp())
    assert open_since([hours(begin, end, zone=zone)], "a", at) == wanted


def test_hours_over_midnight_belong_to_the_day_on_which_they_begin() -> None:
    sunday = [hours("22:00", "04:00", days=["sun"])]
    assert open_since(sunday, "a", datetime(2026, 6, 1, 3, 0, tzinfo=UTC)) is not None, "Monday morning"
    assert open_since(sunday, "a", datetime(2026, 5, 31, 3, 0, tzinfo=UTC)) is None, "Sunday morning"
    assert open_since(sunday, "b", datetime(2026, 6, 1, 3, 0, tzinfo=UTC)) is None, "another node"


def test_a_zone_that_is_none_opens_no_hours() -> None:
    assert open_since([hours("00:00", "23:59", zone="Middle/Earth")], "a", NOON) is None


def reports(working: Iterable[str], resting: Iterable[str] = ()) -> list[MemberReport]:
    def one(node: str, up: bool) -> MemberReport:
        return MemberReport(
            pool="images", listener="dicom", node=node, admin="ready", up=up, status="UP" if up else "DOWN", sessions=2,
            weight=100, check="L7OK", check_words="", agent="", changed=0,
        )  # fmt: skip

    return [*(one(node, True) for node in working), *(one(node, False) for node in resting)]


def test_only_the_last_one_that_works_may_not_go() -> None:
    saying.judge(reports(["a", "b"]), "a", "drain", last=False)
    saying.judge(reports(["b"], ["a"]), "a", "maint", last=False)
    saying.judge(reports(["a"], ["b"]), "a", "ready", last=False)
    saying.judge(reports(["a"], ["b"]), "a", "drain", last=True)
    with pytest.raises(LastMember, match=r"images\.dicom"):
        saying.judge(reports(["a"], ["b"]), "a", "drain", last=False)


def test_progress_tells_what_is_open_and_what_capacity_is_left() -> None:
    told = saying.progress(reports(["a", "b", "c"], ["d"]), "a")
    assert told["sessions"] == 2
    assert told["left"] == {"images.dicom": {"members": ["b", "c"], "share": 0.5}}


def test_a_word_is_later_than_what_the_document_says_even_when_the_clock_here_is_behind() -> None:
    members = pools(state="ready", since=5000).pools[0].members
    assert saying.since(members, 4000) == 5001
    assert saying.since(members, 6000) == 6000
