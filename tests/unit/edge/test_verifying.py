"""Asking a destination for what it acknowledged: what becomes of it by what the destination says, or does not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from edge.buffer.hand import Choice, Hand
from edge.buffer.store import Buffer
from edge.buffer.view import BufferView
from edge.forward.base import Accepted, DestinationDown
from edge.forward.holding import Holding
from edge.forward.retry import Backoff
from edge.forward.verifying import GIVE_UP, SENDINGS, NotAsked, Verifier
from edge.health import NOT_VERIFIABLE, HealthBoard
from tests.clocks import JumpingClock
from tests.edge_samples import routed, take
from tests.standings import check_standings

AFTER, QUESTIONS = 5.0, 3
A_WEEK_AND_MORE = GIVE_UP.total_seconds() + 3600


class Archive:
    """A destination that lists what it holds, or says nothing."""

    how = "by C-FIND"

    def __init__(self) -> None:
        self.holds: set[str] = set()
        self.mute: set[str] = set()
        """Series for which it gives no answer."""
        self.asked: list[tuple[str, str, frozenset[str]]] = []

    def held(self, study: str, series: str, wanted: frozenset[str]) -> set[str]:
        """Those that it holds."""
        self.asked.append((study, series, wanted))
        if series in self.mute:
            raise DestinationDown("it says nothing", hint="Wake it.")
        return self.holds & wanted

    def rest(self) -> None:
        """Nothing is open."""

    def interrupt(self) -> None:
        """Nothing hangs."""


class Site:
    """A buffer with one destination."""

    def __init__(self, folder: Path) -> None:
        self.path, self.clock = folder, JumpingClock(datetime.now(UTC))
        self.buffer = Buffer(folder, clock=self.clock)
        self.archive, self.health = Archive(), HealthBoard()
        self.verifier = self.asked_by(self.archive)

    def asked_by(self, asker: Archive | NotAsked) -> Verifier:
        """One that asks in this way."""
        return Verifier("pacs", asker, self.buffer, self.health, after=AFTER, questions=QUESTIONS)

    def admit(self, *uids: str, series: str = "1.2.9.1") -> None:
        """These arrive."""
        arrivals = [replace(routed(take(self.buffer, uid), "pacs"), series_instance_uid=series) for uid in uids]
        self.buffer.admit(arrivals)

    def send(self, sent_as: tuple[str, str, str] | None = None) -> list[str]:
        """Whatever is due is sent and acknowledged."""
        holding = Holding("pacs", self.buffer, Backoff(), 60.0, asked_after=AFTER)
        claimed = holding.claim(2000)
        for one in claimed:
            holding.settle(one, Accepted(sent_as=sent_as))
        holding.flush()
        return [one.sealed.sop_instance_uid for one in claimed]

    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.clock.wait(lambda _timeout: None, seconds)

    def ask(self, times: int = 1) -> None:
        """So many questions, far enough apart."""
        for _time in range(times):
            self.wait(3600)
            self.verifier.ask_once()

    def states(self) -> dict[str, str]:
        """By SOP Instance UID."""
        return {uid: state for uid, (state, _reason) in self.told().items()}

    def told(self) -> dict[str, tuple[str, str]]:
        """State and reason by SOP Instance UID."""
        return {
            held["sop_instance_uid"]: (one["state"], one["reason"])
            for held in BufferView(self.path).trace("1.2.3")
            for one in held["deliveries"]
        }


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    opened = Site(tmp_path)
    yield opened
    check_standings(tmp_path / "edge.db")
    opened.buffer.close()


def test_what_the_destination_lists_is_delivered(site: Site) -> None:
    site.admit("1.2.1", "1.2.2")
    site.send()
    assert site.states() == {"1.2.1": "verifying", "1.2.2": "verifying"}
    site.archive.holds = {"1.2.1", "1.2.2"}
    site.ask()
    assert site.told() == dict.fromkeys(("1.2.1", "1.2.2"), ("delivered", "verified by C-FIND"))
    assert site.archive.asked == [("1.2.3", "1.2.9.1", frozenset({"1.2.1", "1.2.2"}))]


def test_nothing_is_asked_before_its_time(site: Site) -> None:
    site.admit("1.2.1")
    site.send()
    site.wait(AFTER - 1)
    site.verifier.ask_once()
    assert site.archive.asked == []
    site.wait(1)
    site.verifier.ask_once()
    assert len(site.archive.asked) == 1


def test_what_is_not_listed_at_first_is_asked_for_again_later_and_later(site: Site) -> None:
    site.admit("1.2.1")
    site.send()
    site.wait(AFTER)
    site.verifier.ask_once()
    state, reason = site.told()["1.2.1"]
    assert (state, reason) == (
        "verifying",
        "it acknowledged the image; asked by C-FIND (1 of 3), it does not list it yet",
    )
    site.wait(2 * AFTER - 1)
    site.verifier.ask_once()
    assert len(site.archive.asked) == 1
    site.wait(1)
    site.archive.holds = {"1.2.1"}
    site.verifier.ask_once()
    assert site.states() == {"1.2.1": "delivered"}


def test_what_is_never_listed_is_sent_again_and_then_delivered(site: Site) -> None:
    site.admit("1.2.1", "1.2.2")
    site.send()
    site.archive.holds = {"1.2.1"}
    site.ask(QUESTIONS)
    assert site.told()["1.2.2"] == (
        "retry_wait",
        "it acknowledged the image and does not hold it, asked by C-FIND; it is sent again",
    )
    site.wait(3600)
    assert site.send() == ["1.2.2"]
    site.archive.holds.add("1.2.2")
    site.ask()
    assert site.states() == {"1.2.1": "delivered", "1.2.2": "delivered"}


def test_what_is_lost_again_and_again_is_for_a_person_and_begins_anew_when_that_one_wants(site: Site) -> None:
    site.admit("1.2.1")
    for _sending in range(SENDINGS):
        site.wait(3600)
        assert site.send() == ["1.2.1"]
        site.ask(QUESTIONS)
    words = "pacs acknowledged it 3 times and does not hold it, asked by C-FIND: ask its administrator where it went"
    state, reason = site.told()["1.2.1"]
    assert state == "parked"
    assert reason == f"{words}, then `skerry-edge requeue`"
    assert site.send() == []
    Hand(site.path).requeue(destination="pacs", dry_run=False)
    site.send()
    site.ask(QUESTIONS)
    assert site.states() == {"1.2.1": "retry_wait"}  # for the first time again


def test_a_destination_that_is_away_for_days_is_asked_when_it_is_back_and_nothing_is_parked(site: Site) -> None:
    site.admit("1.2.1")
    site.send()
    site.archive.mute = {"1.2.9.1"}
    site.ask(48)
    assert site.told()["1.2.1"] == (
        "verifying",
        "it acknowledged the image and cannot be asked for it: it says nothing",
    )
    (condition,) = site.health.current()
    assert (condition.code, condition.subject, condition.hint) == (NOT_VERIFIABLE.code, "pacs", "Wake it.")
    site.archive.mute, site.archive.holds = set(), {"1.2.1"}
    site.ask()
    assert site.states() == {"1.2.1": "delivered"}
    assert site.health.current() == ()


def test_a_destination_that_cannot_be_asked_for_a_week_is_for_a_person(site: Site) -> None:
    site.admit("1.2.1")
    site.send()
    site.archive.mute = {"1.2.9.1"}
    site.wait(A_WEEK_AND_MORE)
    site.verifier.ask_once()
    assert site.told()["1.2.1"] == (
        "parked",
        "pacs acknowledged it and cannot be asked whether it holds it: it says nothing. Wake it. "
        "`skerry-edge requeue` sends it again",
    )


def test_a_destination_that_is_away_is_not_asked_for_everything_that_waits(site: Site) -> None:
    for number in range(6):
        site.admit(f"1.2.{number}", series=f"1.2.9.{number}")
    site.send()
    site.archive.mute = {f"1.2.9.{number}" for number in range(6)}
    site.wait(AFTER)
    pauses = [site.verifier.ask_once()]
    assert len(site.archive.asked) == 2
    for _again in range(12):
        site.wait(3600)
        pauses.append(site.verifier.ask_once())
    assert pauses[0] <= AFTER < 300 <= pauses[-1] <= 600  # no knocking at a closed door


def test_a_series_that_gets_no_answer_holds_no_other_up(site: Site) -> None:
    bad = {f"1.2.8.{number}" for number in range(3)}
    for number, series in enumerate(sorted(bad)):
        site.admit(f"1.2.7.{number}", series=series)
    site.admit("1.2.1", series="1.2.9.9")
    site.send()
    site.archive.mute, site.archive.holds = bad, {"1.2.1"}
    for _round in range(60):  # they are asked in any order
        site.ask()
        if site.states()["1.2.1"] == "delivered":
            break
    assert site.states() == {"1.2.1": "delivered", **{f"1.2.7.{number}": "verifying" for number in range(3)}}


def test_when_the_policy_asks_for_no_verification_any_more_the_acknowledgement_counts(site: Site) -> None:
    site.admit("1.2.1")
    site.send()
    site.verifier = site.asked_by(NotAsked())
    site.ask()
    assert site.told()["1.2.1"] == ("delivered", "acknowledged; the policy asks for no verification any more")


def test_it_is_asked_for_under_the_uids_that_it_was_sent_with(site: Site) -> None:
    site.admit("1.2.1")
    site.send(sent_as=("1.9.1", "1.9.2", "1.9.3"))
    site.archive.holds = {"1.9.3"}
    site.ask()
    assert site.archive.asked == [("1.9.1", "1.9.2", frozenset({"1.9.3"}))]
    assert site.states() == {"1.2.1": "delivered"}


@pytest.mark.parametrize("uid", ["", "*", "1.2.?", "1.2.3\\1.2.4", "1.2.3/../.."])
def test_a_uid_that_would_ask_for_something_else_is_never_asked_for(site: Site, uid: str) -> None:
    site.admit("1.2.1")
    site.send(sent_as=("1.2.3", uid, "1.2.1"))
    site.ask()
    assert site.archive.asked == []
    assert site.told()["1.2.1"] == ("parked", "it went to pacs without proper UIDs, so nobody can ask for it there")


def test_what_is_verified_is_never_deleted_however_old(site: Site) -> None:
    site.admit("1.2.1")
    site.send()
    assert site.buffer.release_delivered(timedelta(0)) == 0
    assert site.buffer.evictions.evict(1 << 40, 1 << 61) == 0
    assert BufferView(site.path).trace("1.2.1")[0]["released_at"] in ("", None)
    site.archive.holds = {"1.2.1"}
    site.ask()
    assert site.buffer.evictions.evict(1 << 40, 1 << 61) == 1


def test_a_person_may_end_it_while_it_is_asked_for(site: Site) -> None:
    site.admit("1.2.1")
    site.send()

    def held(study: str, series: str, wanted: frozenset[str]) -> set[str]:
        Hand(site.path).discard(Choice(destination="pacs"), reason="known there under another UID", dry_run=False)
        return set(wanted)

    site.archive.held = held  # type: ignore[method-assign]
    site.ask()
    assert site.states() == {"1.2.1": "discarded"}


def test_a_crash_between_acknowledgement_and_question_forgets_neither(tmp_path: Path) -> None:
    before = Site(tmp_path)
    before.admit("1.2.1", "1.2.2")
    before.send()
    before.buffer.close()
    after = Site(tmp_path)
    after.buffer.recover()
    assert after.buffer.claim("pacs", 10) == []  # it is not sent again for that
    after.archive.holds = {"1.2.1"}
    after.ask(QUESTIONS)
    assert after.states() == {"1.2.1": "delivered", "1.2.2": "retry_wait"}
    after.buffer.close()


def test_thousands_are_verified_in_few_commits(site: Site) -> None:
    uids = [f"1.2.{number}" for number in range(1200)]
    site.admit(*uids)
    site.send()
    site.archive.holds = set(uids)
    site.wait(AFTER)
    pauses: Sequence[float] = [site.verifier.ask_once() for _round in range(4)]
    assert pauses[:2] == [0.0, 0.0]  # at once, as long as there is more
    assert set(site.states().values()) == {"delivered"}
