"""Any order of what can happen to deliveries: only the table's ways, nothing lost, and the urgent first."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import apsw
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from edge.buffer.hand import Choice, Hand
from edge.buffer.proofs import Proofs
from edge.buffer.states import TRANSITIONS, UNFINISHED, DeliveryEvent, DeliveryState
from edge.buffer.store import Buffer
from edge.buffer.transitions import Transition
from edge.errors import IllegalTransition, UnknownInstance
from edge.model import ClaimedDelivery, Priority, Wait
from tests.edge_samples import data_set, routed, take
from tests.standings import check_standings

PLACES = ("pacs", "archive")
ENDS = (
    DeliveryEvent.ACCEPTED,
    DeliveryEvent.UNPROVEN,
    DeliveryEvent.FAILED_TRANSIENTLY,
    DeliveryEvent.REFUSED,
    DeliveryEvent.UNFIT,
    DeliveryEvent.GIVEN_BACK,
)
ANSWERS = (DeliveryEvent.VERIFIED, DeliveryEvent.MISSING, DeliveryEvent.NEVER_FOUND)
WAIT = Wait(route="ct", scope="study", quiet=timedelta(seconds=3), at_most=timedelta(seconds=9))
ACTIONS = ("release", "hold", "discard", "reroute")
States = dict[int, DeliveryState]


class Queue(RuleBasedStateMachine):
    """A real buffer; the model is the table of transitions and the number of deliveries that were admitted."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(prefix="queue")
        self.path = Path(self.folder.name)
        self.buffer = Buffer(self.path)
        self.reader = apsw.Connection(str(self.path / "edge.db"))
        self.admitted = 0
        self.held: list[ClaimedDelivery] = []
        self.before: States = {}

    def teardown(self) -> None:
        """Whatever happened, all of it can still be delivered."""
        self._follow(set(DeliveryEvent))
        for place in PLACES:
            self.buffer.take_over(place)
        Hand(self.path).release(Choice(), dry_run=False)
        for place in PLACES:
            while claimed := self.buffer.claim(place, 7):
                for one in claimed:
                    self.buffer.settle(one.delivery_id, DeliveryEvent.ACCEPTED)
            for unproven in Proofs(self.buffer, place).due(100):
                self.buffer.settle(unproven.delivery_id, DeliveryEvent.VERIFIED)
        ended = self._states()
        assert set(ended.values()) <= frozenset(DeliveryState) - UNFINISHED
        assert len(ended) == self.admitted
        self.reader.close()
        self.buffer.close()
        self.folder.cleanup()

    @rule(
        uid=st.sampled_from(["1.2.1", "1.2.2", "1.2.3"]),
        priorities=st.fixed_dictionaries({}, optional={place: st.sampled_from(Priority) for place in PLACES}),
        places=st.sampled_from([PLACES, PLACES[:1]]),
        replaces=st.booleans(),
        waits=st.booleans(),
    )
    def admit(
        self, uid: str, priorities: dict[str, Priority], places: tuple[str, ...], replaces: bool, waits: bool
    ) -> None:
        """Something arrives, also under a UID that is known, with other bytes."""
        body = self.admitted.to_bytes(4, "big") * 8
        one = routed(take(self.buffer, uid, data_set(uid, body=body)), *places)
        first = dict.fromkeys(places, WAIT) if waits else {}
        decision = replace(one.decision, priorities=priorities, replaces=replaces, waits=first)
        self.buffer.admit([replace(one, decision=decision)])
        self.admitted += len(places)
        start = DeliveryState.GATHERING if waits else DeliveryState.DUE
        self._follow({DeliveryEvent.REPLACED}, added=len(places), start=start)

    @rule(seconds=st.integers(1, 4), busy=st.booleans())
    def time_passes(self, seconds: int, busy: bool) -> None:
        """What waits for the rest of its study goes when that is complete, late images after the others."""
        self.buffer.gatherings.look(timedelta(seconds=seconds), lambda _number: busy)
        self._follow({DeliveryEvent.GATHERED})

    @rule(place=st.sampled_from(PLACES), limit=st.integers(1, 30))
    def claim(self, place: str, limit: int) -> None:
        """A lane asks for work."""
        claimed = self.buffer.claim(place, limit)
        order = self._order(place)
        stored = [order[one.delivery_id] for one in claimed]
        turned = [one for one, (priority, *_rest) in zip(claimed, stored, strict=True) if one.priority != priority]
        assert len(turned) <= 2  # those whose turn has come by age
        assert all(one.priority is Priority.STAT for one in turned)
        usual = stored[len(turned) :]
        assert usual == sorted(usual)
        left = [key for number, key in order.items() if self._states()[number] is DeliveryState.DUE]
        assert not left or not usual or usual[-1][0] <= min(left)[0]  # nothing more urgent was left behind
        assert bool(claimed) or not left
        self.held += claimed
        self._follow({DeliveryEvent.BACKOFF_ELAPSED, DeliveryEvent.CLAIMED})

    @precondition(lambda self: self.held)
    @rule(data=st.data(), event=st.sampled_from(ENDS), soon=st.booleans(), again=st.booleans())
    def settle(self, data: st.DataObject, event: DeliveryEvent, soon: bool, again: bool) -> None:
        """A sender tells an end, perhaps long after its lease, perhaps twice."""
        number = data.draw(st.integers(0, len(self.held) - 1))
        one = self.held[number] if again else self.held.pop(number)
        when = datetime.now(UTC) + (timedelta(seconds=-1) if soon else timedelta(hours=1))
        change = Transition(
            delivery_id=one.delivery_id,
            event=event,
            reason="as the test says",
            not_before=when if event is DeliveryEvent.FAILED_TRANSIENTLY else None,
            sent_as=("1.2", "1.2.3", one.sealed.sop_instance_uid),
        )
        with suppress(IllegalTransition):
            self.buffer.settle_soon(change).result()
        self._follow({event, DeliveryEvent.REPLACED})

    @rule(place=st.sampled_from(PLACES), event=st.sampled_from(ANSWERS), many=st.integers(1, 3), again=st.booleans())
    def answer(self, place: str, event: DeliveryEvent, many: int, again: bool) -> None:
        """A destination says of something whether it holds it, perhaps twice, or is asked later."""
        proofs = Proofs(self.buffer, place)
        asked = proofs.due(many)
        for one in asked * (2 if again else 1):
            with suppress(IllegalTransition):
                self.buffer.settle(one.delivery_id, event, reason="as the test says")
        proofs.ask_later(asked + proofs.due(1), -1.0, "not yet", asked=True)
        self._follow({event, DeliveryEvent.REPLACED})

    @rule(place=st.sampled_from(PLACES))
    def leases_end(self, place: str) -> None:
        """A sender is taken for dead; it may still answer later."""
        self.buffer.take_over(place)
        self._follow({DeliveryEvent.LEASE_EXPIRED})

    @precondition(lambda self: self.held)
    @rule()
    def renew(self) -> None:
        """A sender says that it lives, perhaps too late."""
        self.buffer.renew([one.delivery_id for one in self.held])
        self._follow({DeliveryEvent.CLAIMED})

    @rule(place=st.none() | st.sampled_from(PLACES), state=st.none() | st.sampled_from(["parked", "retry_wait"]))
    def requeue(self, place: str | None, state: str | None) -> None:
        """A person asks for another try."""
        view = Hand(self.path)
        expected = view.requeue(destination=place, state=state, dry_run=True)
        assert view.requeue(destination=place, state=state, dry_run=False) == expected
        self._follow({DeliveryEvent.RELEASED_BY_OPERATOR, DeliveryEvent.REPLACED})

    @rule(
        place=st.none() | st.sampled_from(PLACES),
        uid=st.none() | st.sampled_from(["1.2.1", "1.2.2"]),
        action=st.sampled_from(ACTIONS),
        to=st.sampled_from(PLACES),
    )
    def act(self, place: str | None, uid: str | None, action: str, to: str) -> None:
        """A person changes what becomes of many."""
        hand, choice = Hand(self.path), Choice(destination=place, uid=uid)
        before = len(self._states())
        with suppress(UnknownInstance):
            match action:
                case "release":
                    hand.release(choice, dry_run=False)
                case "hold":
                    hand.hold(choice, reason="as the test says", dry_run=False)
                case "discard":
                    hand.discard(choice, reason="as the test says", dry_run=False)
                case "reroute":
                    hand.reroute(choice, to=to, dry_run=False)
        added = len(self._states()) - before
        self.admitted += added
        person = {
            DeliveryEvent.RELEASED_BY_OPERATOR,
            DeliveryEvent.HELD_BY_OPERATOR,
            DeliveryEvent.DISCARDED_BY_OPERATOR,
            DeliveryEvent.SENT_HERE_BY_OPERATOR,
        }
        self._follow(person | {DeliveryEvent.REPLACED}, added=added)

    @rule()
    def housekeeping(self) -> None:
        """The slow round of the node."""
        self.buffer.expire_leases()
        self.buffer.release_delivered(timedelta(days=1))
        self._follow({DeliveryEvent.LEASE_EXPIRED, DeliveryEvent.REPLACED})

    @rule()
    def restart(self) -> None:
        """The process ends and comes back: what it held is due again."""
        self.buffer.close()
        self.buffer = Buffer(self.path)
        self.buffer.recover()
        self._follow({DeliveryEvent.LEASE_EXPIRED})

    @invariant()
    def the_sum_is_right(self) -> None:
        """Every delivery that was admitted is in one of the states, and the tally says so."""
        tally = self.buffer.tally()
        assert sum(tally.values()) == self.admitted
        found = self.reader.execute("SELECT state, priority, count(*) FROM delivery GROUP BY state, priority")
        counted = {(state, Priority(priority)): count for state, priority, count in found}
        assert {key: count for key, count in tally.items() if count} == counted
        unfinished = sum(count for (state, _priority), count in counted.items() if state in UNFINISHED)
        counts = self.buffer.counts()
        for_people = counts.deliveries_parked + counts.deliveries_quarantined + counts.deliveries_held
        assert counts.deliveries_waiting + for_people == unfinished

    @invariant()
    def whatever_is_verified_can_be_asked_for(self) -> None:
        """No crash and no person leaves one that nobody would ever ask for."""
        lost = "SELECT count(*) FROM delivery WHERE state = 'verifying' AND id NOT IN (SELECT delivery FROM proof)"
        assert self.reader.execute(lost).get == 0

    @invariant()
    def every_instance_stands_in_one_place(self) -> None:
        """What was accepted is the sum of where it stands."""
        check_standings(self.path / "edge.db")

    def _follow(self, events: set[DeliveryEvent], *, added: int = 0, start: DeliveryState = DeliveryState.DUE) -> None:
        """Nothing moved but on the ways that these events open, one after the other."""
        now = self._states()
        assert len(now) == len(self.before) + added
        for number, state in now.items():
            before = self.before.get(number, start)
            assert state in _reachable(before, events), (number, before, state, events)
        self.before = now

    def _states(self) -> States:
        return {number: DeliveryState(state) for number, state in self.reader.execute("SELECT id, state FROM delivery")}

    def _order(self, place: str) -> dict[int, tuple[int, int, int]]:
        """Where each stood before it was claimed."""
        sql = "SELECT id, priority, attempts - (state = 'sending') FROM delivery WHERE destination = ?"
        return {number: (priority, tries, number) for number, priority, tries in self.reader.execute(sql, (place,))}


def _reachable(start: DeliveryState, events: set[DeliveryEvent]) -> set[DeliveryState]:
    reached, frontier = {start}, [start]
    while frontier:
        here = frontier.pop()
        for (state, event), result in TRANSITIONS.items():
            if state is here and event in events and result not in reached:
                reached.add(result)
                frontier.append(result)
    return reached


Queue.TestCase.settings = settings(
    max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestQueue: Any = Queue.TestCase
