"""Series and studies whose images were announced: at once when all are here, longer while some miss, never for ever."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.buffer import expected, store
from edge.buffer.expectations import Expectations, Series, StepNews
from edge.buffer.gathering import Gone, Look
from edge.buffer.hand import Choice, Hand
from edge.buffer.states import DeliveryEvent, DeliveryState
from edge.buffer.store import Buffer
from edge.buffer.view import BufferView
from edge.cli.gathering import gathering_words
from edge.gatherer import Gatherer
from edge.health import HealthBoard
from edge.model import RoutedInstance, Wait
from tests.edge_samples import data_set, routed, take

SECOND = timedelta(seconds=1)
STUDY = Wait(route="ct", scope="study", quiet=3 * SECOND, missing=8 * SECOND, at_most=60 * SECOND)
SERIES = replace(STUDY, scope="series")
ALL_HERE = [Gone(outcome="all-here")]
QUIET = [Gone(outcome="quiet")]


@dataclass
class Site:
    """A buffer, and what a process that receives writes beside it."""

    folder: Path
    buffer: Buffer = field(init=False)
    heard: Expectations = field(init=False)

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        """Also after a stop."""
        self.buffer, self.heard = Buffer(self.folder), Expectations(self.folder / "edge.db")

    def stop(self) -> None:
        """Everything that is only in memory is gone."""
        self.heard.close()
        self.buffer.close()

    def admit(self, *uids: str, wait: Wait = STUDY, association: int = 0) -> None:
        """Images of study 1.2.3, series 1.2.9.1."""
        self.buffer.admit([self._waiting(uid, wait, association) for uid in uids])

    def begin(self, step: str = "9.1", study: str = "1.2.3") -> None:
        """A modality begins."""
        self.heard.begin(StepNews(uid=step, finished=False, study=study))

    def end(self, *uids: str, step: str = "9.1", series: str = "1.2.9.1", finished: bool = True) -> None:
        """It has made these."""
        made = (Series(uid=series, instances=uids),)
        self.heard.change(StepNews(uid=step, finished=finished, series=made))

    def look(self, seconds: int = 1, *, open_ones: frozenset[int] = frozenset()) -> list[Gone]:
        """So many seconds later: what went."""
        gone: list[Gone] = []
        for _second in range(seconds):
            found: Look = self.buffer.gatherings.look(SECOND, open_ones.__contains__)
            gone += found.outcomes
        return gone

    def states(self) -> Counter[str]:
        """How many deliveries are in which state."""
        counted: Counter[str] = Counter()
        for (state, _priority), count in self.buffer.tally().items():
            counted[state] += count
        return +counted

    def _waiting(self, uid: str, wait: Wait, association: int) -> RoutedInstance:
        sealed = take(self.buffer, uid, data_set(uid))
        sealed = replace(sealed, facts=replace(sealed.facts, association=association))
        one = routed(sealed, "pacs")
        return replace(one, decision=replace(one.decision, waits={"pacs": wait}))


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """An empty one."""
    site = Site(tmp_path)
    yield site
    site.stop()


@pytest.mark.parametrize("wait", [STUDY, SERIES], ids=["study", "series"])
def test_what_is_all_here_goes_as_soon_as_nobody_sends_it(site: Site, wait: Wait) -> None:
    site.begin()
    site.admit("1.1", wait=wait, association=7)
    site.end("1.1", "1.2")
    site.admit("1.2", wait=wait, association=7)
    assert site.look(5, open_ones=frozenset({7})) == []
    assert site.look() == ALL_HERE
    assert site.states() == {"due": 2}


def test_what_is_announced_after_it_came_goes_at_once_too(site: Site) -> None:
    site.admit("1.1")
    site.begin()
    assert site.look() == []
    site.end("1.1")
    assert site.look() == ALL_HERE


def test_missing_images_are_waited_for_longer_and_not_for_ever(site: Site, tmp_path: Path) -> None:
    site.begin()
    site.end("1.1", "1.2", "1.3")
    site.admit("1.1")
    assert site.look(7) == []
    (group,) = BufferView(tmp_path).gatherings()
    assert group["announced"] == {"named": 3, "missing": 2}
    assert "gathering, 1 image, 2 of 3 announced are missing, goes at " in gathering_words(group)
    assert site.look() == [Gone(outcome="missing", named=3, missing=2)]
    (traced,) = BufferView(tmp_path).trace("1.1")
    assert traced["deliveries"][0]["reason"] == "went without 2 of 3 images that were announced"
    assert traced["announced"] == {"named": 3, "missing": 2}


def test_the_cap_of_the_route_holds_for_missing_images_too(site: Site) -> None:
    site.begin()
    site.end("1.1", "1.2")
    site.admit("1.1", wait=replace(STUDY, missing=50 * SECOND, at_most=5 * SECOND))
    assert site.look(4) == []
    assert site.look() == [Gone(outcome="missing", named=2, missing=1)]


def test_what_comes_after_it_went_without_waits_for_its_own_quiet(site: Site) -> None:
    site.begin()
    site.end("1.1", "1.2", "1.3")
    site.admit("1.1")
    site.look(8)
    site.admit("1.2")
    assert site.look(2) == []
    assert site.look() == QUIET
    site.admit("1.3")
    assert site.look() == ALL_HERE
    assert site.states() == {"due": 3}


def test_people_are_told_what_never_came_until_it_does(site: Site) -> None:
    board = HealthBoard()
    times = iter(float(second) for second in range(1000))
    gatherer = Gatherer(site.buffer.gatherings, lambda _number: False, health=board, monotonic=lambda: next(times))
    site.begin()
    site.end("1.1", "1.2", "1.3")
    site.admit("1.1")
    for _second in range(8):
        gatherer.look()
    (told,) = board.current()
    assert told.code == "announced-missing"
    assert told.text.startswith("2 images that modalities announced never came; 1 study went on without them")
    site.admit("1.2", "1.3")
    gatherer.look()
    assert board.current() == ()


def test_an_image_that_nobody_announced_is_a_reason_to_wait(site: Site) -> None:
    site.begin()
    site.end("1.1")
    site.admit("1.1", "1.7")
    assert site.look(2) == []
    assert site.look() == QUIET


def test_a_series_without_names_says_nothing_of_its_study(site: Site) -> None:
    site.begin()
    first = Series(uid="1.2.9.1", instances=("1.1",))
    site.heard.change(StepNews(uid="9.1", finished=True, series=(first, Series(uid="1.2.9.2", instances=()))))
    site.admit("1.1")
    assert site.look(2) == []
    assert site.look() == QUIET


@pytest.mark.parametrize("named", [False, True])
def test_a_study_with_a_step_that_goes_on_is_not_all_here(site: Site, named: bool) -> None:
    site.begin()
    site.begin("9.2")
    site.end("1.1")
    if named:
        site.end("1.2", step="9.2", finished=False)
    site.admit("1.1", "1.2")
    assert site.look(2) == []
    assert site.look() == QUIET


def test_a_request_for_commitment_ends_the_wait_for_a_series_and_not_for_a_study(site: Site) -> None:
    site.admit("1.1", "1.2", wait=SERIES)
    site.admit("1.3", wait=STUDY)
    site.heard.asked("8.1", ["1.1", "1.2", "1.3"])
    assert site.look() == ALL_HERE
    assert site.states() == {"due": 2, "gathering": 1}
    assert site.look(2) == QUIET


def test_a_modality_that_asks_after_each_image_says_nothing_of_the_series(site: Site) -> None:
    site.admit("1.1", wait=SERIES)
    site.heard.asked("8.1", ["1.1"])
    site.admit("1.2", wait=SERIES)
    site.heard.asked("8.2", ["1.2"])
    assert site.look(2) == []


def test_what_was_asked_for_and_is_not_here_is_waited_for(site: Site) -> None:
    site.admit("1.1")
    site.heard.asked("8.1", ["1.1", "1.2"])
    assert site.look(7) == []
    assert site.look() == [Gone(outcome="missing", named=2, missing=1)]


def test_what_was_announced_twice_is_counted_once(site: Site) -> None:
    site.begin()
    site.end("1.1", "1.2")
    site.admit("1.1")
    site.heard.asked("8.1", ["1.1", "1.2"])
    assert site.look(8) == [Gone(outcome="missing", named=2, missing=1)]


def test_a_route_that_waits_longer_still_does_when_another_went_without(site: Site) -> None:
    site.begin()
    site.end("1.1", "1.2")
    patient = replace(STUDY, route="slow", missing=20 * SECOND)
    sealed = take(site.buffer, "1.1", data_set("1.1"))
    one = routed(sealed, "pacs", "ai")
    site.buffer.admit([replace(one, decision=replace(one.decision, waits={"pacs": STUDY, "ai": patient}))])
    assert len(site.look(8)) == 1
    assert site.look(11) == []
    site.admit("1.2")
    assert site.look() == [*ALL_HERE, *ALL_HERE]


def test_a_start_knows_what_was_announced(site: Site) -> None:
    site.begin()
    site.end("1.1", "1.2")
    site.admit("1.1")
    site.look(5)
    site.stop()
    site.start()
    assert site.look(2) == []
    site.admit("1.2")
    assert site.look() == ALL_HERE


def test_a_person_who_will_not_wait_is_obeyed(site: Site, tmp_path: Path) -> None:
    site.begin()
    site.end("1.1", "1.2")
    site.admit("1.1")
    assert Hand(tmp_path).release(Choice(uid="1.2.3", states=(DeliveryState.GATHERING,)), dry_run=False) == 1
    assert site.look() == [Gone(outcome="by-hand")]


def test_what_was_announced_is_forgotten_with_its_study(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.begin()
    site.end("1.1")
    site.begin("9.2", study="5.5")
    site.end("5.5.1", step="9.2", series="5.6")
    site.admit("1.1")
    site.look(3)
    (held,) = site.buffer.claim("pacs", 1)
    site.buffer.settle(held.delivery_id, DeliveryEvent.ACCEPTED)
    site.buffer.release_delivered(timedelta(0))
    view = BufferView(site.folder)
    monkeypatch.setattr(store, "REMEMBERED", timedelta(seconds=-1))
    assert view.trace("1.1")[0]["announced"] == {"named": 1, "missing": 0}
    assert site.buffer.prune() == 1
    assert _remembered(site) == ["9.2"]


def test_what_came_is_soon_forgotten_and_what_never_came_later(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.begin()
    site.end("1.1")
    site.begin("9.2", study="5.5")
    site.end("5.5.1", step="9.2", series="5.6")
    site.buffer.prune()
    assert _remembered(site) == ["9.1", "9.2"]
    monkeypatch.setattr(expected, "MET_KEPT", timedelta(seconds=-1))
    site.admit("1.1", association=7)
    site.look(open_ones=frozenset({7}))
    site.buffer.prune()
    assert len(_expected(site)) == 2, "one still gathers"
    assert site.look() == ALL_HERE
    site.buffer.prune()
    assert _expected(site) == ["9.2"]
    monkeypatch.setattr(expected, "UNMET_KEPT", timedelta(seconds=-1))
    site.buffer.prune()
    assert _remembered(site) == []


def _expected(site: Site) -> list[str]:
    return [row[0] for row in site.buffer._reader().execute("SELECT of FROM expectation ORDER BY of")]


def numbered(site: Site, *numbers: int, series: str = "1.2.9.1", wait: Wait = STUDY) -> None:
    """Images with these numbers, by a modality that announces nothing."""
    for number in numbers:
        uid = f"{series}.{number}"
        one = replace(site._waiting(uid, wait, 0), series_instance_uid=series, instance_number=number)
        site.buffer.admit([one])


@pytest.mark.parametrize("wait", [STUDY, SERIES], ids=["study", "series"])
def test_gaps_in_the_numbers_are_given_one_more_quiet(site: Site, wait: Wait) -> None:
    numbered(site, 1, 2, 5, wait=wait)
    assert site.look(5) == []
    (group,) = BufferView(site.folder).gatherings()
    assert ", gaps in their numbers, goes at " in gathering_words(group)
    assert site.look() == [Gone(outcome="gaps")]
    (traced,) = BufferView(site.folder).trace("1.2.9.1.1")
    assert traced["deliveries"][0]["reason"] == "went with gaps in the numbers of its images"


@pytest.mark.parametrize("numbers", [(1, 2, 3), (7,), (1, 1001, 2001), (-1, 0, 1)])
def test_numbers_without_gaps_and_other_ways_to_count_wait_for_the_quiet(site: Site, numbers: tuple[int, ...]) -> None:
    numbered(site, *numbers)
    numbered(site, 40, series="1.2.9.2")
    assert site.look(2) == []
    assert site.look() == QUIET


def test_gaps_that_are_filled_in_time_are_none(site: Site) -> None:
    numbered(site, 1, 3)
    assert site.look(4) == []
    numbered(site, 2)
    assert site.look(3) == QUIET


def test_a_late_image_fills_the_gap_that_the_first_ones_left(site: Site) -> None:
    numbered(site, 1, 3)
    assert site.look(6) == [Gone(outcome="gaps")]
    numbered(site, 2)
    assert site.look(3) == QUIET


def test_gaps_never_outlast_what_missing_images_get(site: Site) -> None:
    numbered(site, 1, 3, wait=replace(STUDY, missing=4 * SECOND))
    assert site.look(3) == []
    assert site.look() == [Gone(outcome="gaps")]


def test_what_was_announced_says_more_than_numbers(site: Site) -> None:
    site.begin()
    site.end("1.2.9.1.1", "1.2.9.1.3")
    numbered(site, 1, 3)
    assert site.look() == ALL_HERE


def _remembered(site: Site) -> list[str]:
    connection = site.buffer._reader()
    steps = [row[0] for row in connection.execute("SELECT uid FROM procedure_step ORDER BY uid")]
    of = [row[0] for row in connection.execute("SELECT of FROM expectation ORDER BY of")]
    named = list(
        connection.execute("SELECT DISTINCT of FROM expected JOIN expectation ON id = expectation ORDER BY of")
    )
    assert steps == of == [row[0] for row in named]
    return steps


UIDS = [f"1.{n}" for n in range(1, 4)]
some = st.sets(st.sampled_from(UIDS))
things = st.one_of(
    st.tuples(st.just("image"), st.sampled_from(UIDS), st.booleans()),
    st.tuples(st.just("begin")),
    st.tuples(st.just("set"), some, st.booleans()),
    st.tuples(st.just("set"), st.none(), st.booleans()),
    st.tuples(st.just("commit"), some.filter(bool)),
    st.tuples(st.just("time"), st.integers(1, 9), st.booleans()),
    st.tuples(st.just("time"), st.just(8), st.just(False)),
    st.tuples(st.just("restart")),
)


class Model:
    """What should happen, in sets."""

    def __init__(self) -> None:
        self.begun = self.finished = False
        self.step: tuple[set[str], list[bool]] | None = None
        self.asked: list[tuple[set[str], list[bool]]] = []
        self.came: set[str] = set()
        self.group: set[str] = set()
        self.sent: set[str] = set()
        self.quiet = self.whole = 0

    def tick(self, busy: bool) -> str | None:
        """A second later: why the study went, if it did."""
        if not self.group:
            return None
        self.whole += 1
        self.quiet = 0 if busy else self.quiet + 1
        announced = [one for one in self._known() if one[0]]
        missing = [one for one in announced if one[0] - self.came]
        waited = [one for one in missing if not one[1]]
        named = self.step[0] if self.step else set()
        all_here = not missing and self.finished and bool(named) and self.group <= named
        needed = 1 if all_here else 8 if waited else 3
        if self.quiet < needed and self.whole < 60:
            return None
        self.group, self.quiet, self.whole = set(), 0, 0
        if all_here and not busy:
            return "all-here"
        for one in missing if waited else ():
            one[1].append(True)
        return "missing" if waited else "quiet" if not busy else "at-most"

    def _known(self) -> list[tuple[set[str], list[bool]]]:
        of_this = [one for one in self.asked if one[0] & self.came]
        return [*([self.step] if self.step else []), *of_this]


@given(st.lists(things, max_size=30).map(lambda some: [("begin",), ("image", "1.1", False), *some]))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_every_image_goes_once_and_in_time_whatever_is_announced_when(happened: list[tuple[object, ...]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        site, model = Site(Path(folder)), Model()
        try:
            for thing in happened:
                _happen(site, model, thing)
            for _second in range(61):
                _tick(site, model, busy=False)
            assert not model.group
            assert site.states().keys() <= {"due"}
            assert site.states()["due"] == len(model.came)
            told = Counter(
                event.body["instance_id"] for event in site.buffer.read_outbox(1000) if event.body.get("state") == "due"
            )
            assert set(told.values()) <= {1}
            assert len(told) == len(model.came)
        finally:
            site.stop()


def _happen(site: Site, model: Model, thing: tuple[object, ...]) -> None:
    match thing:
        case ("image", str(uid), bool()) if uid not in model.came:
            site.admit(uid, association=7)
            model.came.add(uid)
            model.group.add(uid)
            model.quiet = 0
        case ("begin",):
            site.begin()
            model.begun = True
        case ("set", set() | None as named, bool(finished)):
            uids = model.came if named is None else named
            site.end(*sorted(uids), finished=finished)
            if model.begun and not model.finished:
                model.finished, model.step = finished, (set(uids), [])
        case ("commit", set() as uids):
            site.heard.asked(f"8.{len(model.asked) + 1}", sorted(uids))
            model.asked.append((set(uids), []))
        case ("time", int(seconds), bool(busy)):
            for _second in range(seconds):
                _tick(site, model, busy=busy)
        case ("restart",):
            site.stop()
            site.start()


def _tick(site: Site, model: Model, *, busy: bool) -> None:
    was = model.group.copy()
    wanted = model.tick(busy and _sends(site))
    gone = site.look(open_ones=frozenset({7} if busy else ()))
    assert [one.outcome for one in gone] == ([wanted] if wanted else []), (was, model.__dict__)


def _sends(site: Site) -> bool:
    """Whether the association was not seen to end since it sent something of what waits."""
    return bool(list(site.buffer._reader().execute("SELECT 1 FROM gathering_from")))
