"""Every order of crash, retry, person, lease and late copy: each accepted object has one standing, and none is lost."""

from __future__ import annotations

import tempfile
from collections import Counter, defaultdict
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import apsw
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from edge.buffer import deeds
from edge.buffer.hand import Choice, Hand
from edge.buffer.states import UNFINISHED, DeliveryEvent, DeliveryState
from edge.buffer.store import Buffer
from edge.buffer.writer import Writer
from edge.errors import IllegalTransition
from edge.model import ClaimedDelivery, Wait
from tests.edge_samples import data_set, routed, take

PLACES = ("pacs", "archive", "elsewhere")
ENDS = (
    DeliveryEvent.ACCEPTED,
    DeliveryEvent.FAILED_TRANSIENTLY,
    DeliveryEvent.REFUSED,
    DeliveryEvent.UNFIT,
    DeliveryEvent.GIVEN_BACK,
)
STUDY = Wait(route="everything", scope="study", quiet=timedelta(seconds=5), at_most=timedelta(seconds=60))
ACTIONS = ("release", "hold", "discard", "reroute", "requeue", "route again")


def standing(states: list[DeliveryState], policy: str) -> str:
    """Where an instance stands, by its deliveries alone."""
    if not states:
        return "parked" if policy else "waiting"
    for worst in (DeliveryState.QUARANTINED, DeliveryState.PARKED):
        if worst in states:
            return worst
    if UNFINISHED & set(states):
        return "waiting"
    return "delivered" if set(states) == {DeliveryState.DELIVERED} else "ended"


class Standings(RuleBasedStateMachine):
    """A real buffer, and beside it the sums counted anew from its rows."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(prefix="standings")
        self.path = Path(self.folder.name)
        self.buffer = Buffer(self.path)
        self.reader = apsw.Connection(str(self.path / "edge.db"))
        self.claimed: list[ClaimedDelivery] = []
        self.sent: list[tuple[str, bytes]] = []

    def teardown(self) -> None:
        """Nothing is left open."""
        self.reader.close()
        self.buffer.close()
        self.folder.cleanup()

    @rule(
        uid=st.sampled_from(["1.2.1", "1.2.2"]),
        places=st.sampled_from([(), PLACES[:1], PLACES[:2]]),
        replaces=st.booleans(),
        decided=st.booleans(),
        waits=st.booleans(),
    )
    def something_comes(self, uid: str, places: tuple[str, ...], replaces: bool, decided: bool, waits: bool) -> None:
        """With a policy or without one, for some destinations or none, in the place of another, at once or together."""
        self.sent.append((uid, data_set(uid, body=len(self.sent).to_bytes(4, "big") * 8)))
        one = routed(take(self.buffer, *self.sent[-1]), *places)
        decision = replace(one.decision, replaces=replaces, waits=dict.fromkeys(places[:1], STUDY) if waits else {})
        if not decided:
            decision = replace(decision, policy="", outcomes=(), destinations=())
        self.buffer.admit([replace(one, decision=decision)])

    @precondition(lambda self: self.sent)
    @rule(data=st.data(), places=st.sampled_from([PLACES[:1], PLACES[:2]]))
    def the_same_comes_again(self, data: st.DataObject, places: tuple[str, ...]) -> None:
        """A late copy, byte for byte."""
        uid, content = data.draw(st.sampled_from(self.sent))
        self.buffer.admit([routed(take(self.buffer, uid, content), *places)])

    @rule(places=st.sampled_from([(), PLACES[:1]]))
    def a_policy_comes(self, places: tuple[str, ...]) -> None:
        """What no policy has routed is routed."""
        self.buffer.admit([routed(one, *places) for one in self.buffer.unrouted(10)])

    @rule(seconds=st.integers(1, 20))
    def time_passes(self, seconds: int) -> None:
        """Studies that are complete go."""
        self.buffer.gatherings.look(timedelta(seconds=seconds), lambda _association: False)

    @rule(place=st.sampled_from(PLACES), limit=st.integers(1, 5))
    def claim(self, place: str, limit: int) -> None:
        """A lane asks for work."""
        self.claimed += self.buffer.claim(place, limit)

    @precondition(lambda self: self.claimed)
    @rule(data=st.data(), event=st.sampled_from(ENDS), soon=st.booleans(), again=st.booleans())
    def settle(self, data: st.DataObject, event: DeliveryEvent, soon: bool, again: bool) -> None:
        """A sender tells an end, perhaps long after its lease, perhaps twice."""
        number = data.draw(st.integers(0, len(self.claimed) - 1))
        one = self.claimed[number] if again else self.claimed.pop(number)
        when = datetime.now(UTC) + (timedelta(seconds=-1) if soon else timedelta(hours=1))
        with suppress(IllegalTransition):
            self.buffer.settle(one.delivery_id, event, reason="as the test says", not_before=when)

    @rule(place=st.sampled_from(PLACES))
    def leases_end(self, place: str) -> None:
        """A sender is taken for dead; it may still answer later."""
        self.buffer.take_over(place)

    @rule(
        action=st.sampled_from(ACTIONS),
        place=st.none() | st.sampled_from(PLACES),
        to=st.sampled_from(PLACES),
        states=st.lists(st.sampled_from(sorted(UNFINISHED)), unique=True, max_size=2),
    )
    def a_person_acts(self, action: str, place: str | None, to: str, states: list[DeliveryState]) -> None:
        """What was announced is what is done."""
        hand = Hand(self.path, who="test")
        choice = Choice(destination=place, states=tuple(states))
        act = {
            "release": partial(hand.release, choice),
            "hold": partial(hand.hold, choice, reason="as the test says"),
            "discard": partial(hand.discard, choice, reason="as the test says"),
            "reroute": partial(hand.reroute, choice, to=to),
            "requeue": partial(hand.requeue, destination=place),
            "route again": partial(hand.route_again, uid=None),
        }[action]
        announced = act(dry_run=True)
        assert act(dry_run=False) == announced
        assert not announced or hand.deeds(1)[0]["deliveries"] == announced

    @rule(data=st.data(), action=st.sampled_from(ACTIONS[:4]), to=st.sampled_from(PLACES))
    def a_person_acts_late(self, data: st.DataObject, action: str, to: str) -> None:
        """The deliveries were chosen a moment ago, and have gone on since."""
        known = [number for (number,) in self.reader.execute("SELECT id FROM delivery")]
        chosen = data.draw(st.lists(st.sampled_from(known), unique=True)) if known else []
        acts: dict[str, deeds.Together] = {
            "release": deeds.release,
            "hold": partial(deeds.hold, reason="as the test says"),
            "discard": partial(deeds.discard, reason="as the test says"),
            "reroute": partial(deeds.reroute, to=to),
        }
        writer = Writer(self.path / "edge.db")
        writer.write(lambda connection: acts[action](connection, chosen))
        writer.close()

    @rule()
    def housekeeping(self) -> None:
        """The slow round of the node; nothing is kept for long."""
        self.buffer.expire_leases()
        self.buffer.release_delivered(timedelta(0))

    @rule()
    def crash(self) -> None:
        """The process ends and comes back: what it held is due again."""
        self.buffer.close()
        self.buffer = Buffer(self.path)
        self.buffer.recover()

    @invariant()
    def each_has_one_standing_and_the_sums_are_right(self) -> None:
        """What triggers keep is what counting finds; nothing unfinished may leave the spool."""
        states: defaultdict[int, list[DeliveryState]] = defaultdict(list)
        for number, state in self.reader.execute("SELECT instance, state FROM delivery"):
            states[number].append(DeliveryState(state))
        counted: Counter[str] = Counter()
        columns = "id, standing, policy, settled_at, released_at"
        for number, stands, policy, settled, released in self.reader.execute(f"SELECT {columns} FROM instance"):
            if stands == "repeated":
                assert not states[number]
                continue
            assert stands == standing(states[number], policy), states[number]
            counted[stands] += 1
            finished = bool(states[number]) and not UNFINISHED & set(states[number])
            assert (settled is not None) == finished
            assert released is None or finished
        assert {key: count for key, count in self.buffer.counts().standings.items() if count} == counted
        assert sum(self.buffer.tally().values()) == sum(map(len, states.values()))


Standings.TestCase.settings = settings(
    max_examples=30, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestStandings: Any = Standings.TestCase
