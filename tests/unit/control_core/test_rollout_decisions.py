"""A roll-out goes forward only over nodes that bear it, wave after wave and soak after soak; else it goes back."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control.policy_errors import InvalidRollout
from control.rollouts.counters import Counters, grown, read_counters
from control.rollouts.decide import HEARD_OF, RolloutFacts, step
from control.rollouts.gates import Gates, NodeWord, failure
from control.rollouts.states import ENDED, LIVE, TABLE, Happening, RolloutState, after
from control.rollouts.waves import DEFAULT_WAVES, members, sizes
from control.sync.reports import read_report
from mesh.v1 import sync_pb2

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SOAK = timedelta(seconds=60)
TICK = timedelta(seconds=7)


def node(name: str, wave: int = 0, **more: object) -> NodeWord:
    return replace(NodeWord(node_id=name, name=name, wave=wave, last_contact_at=NOON), **more)  # type: ignore[arg-type]


def rollout(
    *nodes: NodeWord, state: RolloutState = RolloutState.RUNNING, wave: int = 0, **more: object
) -> RolloutFacts:
    facts = RolloutFacts(state=state, wave=wave, soak=SOAK, soak_ends=None, back_since=None, gates=Gates(), nodes=nodes)
    return replace(facts, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("waves", "nodes", "expected"),
    [
        (DEFAULT_WAVES, 1000, [1, 100, 500, 1000]),
        (DEFAULT_WAVES, 3, [1, 2, 3]),
        (DEFAULT_WAVES, 1, [1]),
        (("1%", "100%"), 1000, [10, 1000]),
        (("100%",), 7, [7]),
    ],
)
def test_waves_are_counted_and_those_that_add_nobody_are_left_out(
    waves: tuple[str, ...], nodes: int, expected: list[int]
) -> None:
    assert sizes(waves, nodes) == expected


@pytest.mark.parametrize(
    "waves", [(), ("10%",), ("50%", "10%", "100%"), ("0%", "100%"), ("101%", "100%"), ("x", "100%"), ("-1", "100%")]
)
def test_waves_that_cannot_be_meant_are_refused(waves: tuple[str, ...]) -> None:
    with pytest.raises(InvalidRollout):
        sizes(waves, 100)


@given(
    heard=st.sets(st.text("0123456789abcdef", min_size=4, max_size=8), min_size=1, max_size=60),
    more=st.sets(st.text("ghijk", min_size=4, max_size=8), max_size=10),
)
def test_every_node_has_one_wave_and_newcomers_move_nobody_past_another(heard: set[str], more: set[str]) -> None:
    alone = members("r", heard, (), DEFAULT_WAVES)
    assert set(alone) == heard
    assert [sum(wave <= one for wave in alone.values()) for one in sorted(set(alone.values()))] == list(
        sizes(DEFAULT_WAVES, len(heard))
    )
    together = members("r", heard | more, (), DEFAULT_WAVES)
    order = sorted(heard, key=lambda one: alone[one])
    for first, second in pairwise(order):
        if alone[first] < alone[second]:
            assert together[first] <= together[second]
    silent = members("r", heard, more - heard, DEFAULT_WAVES)
    assert {one for one, wave in silent.items() if wave == 0} <= heard


def test_no_end_of_a_roll_out_has_a_way_on_and_every_other_state_has() -> None:
    leaving = {state for state, _ in TABLE}
    assert leaving == LIVE
    assert not leaving & ENDED
    assert after(RolloutState.DONE, Happening.ABORT) is None


@pytest.mark.parametrize(
    ("word", "says"),
    [
        (node("n", given_at=NOON, said="rejected", error="line 4: no such peer"), "refused it: line 4: no such peer"),
        (node("n", given_at=NOON, said="rolled_back"), "went back by itself"),
        (node("n", given_at=NOON, said="applied", last_contact_at=NOON - timedelta(minutes=9)), "not been heard of"),
        (node("n", given_at=NOON - timedelta(hours=1)), "has not taken it within 600 seconds"),
        (node("n", given_at=NOON, said="applied", queue_growth=1001), "1001 more deliveries waiting"),
        (node("n", given_at=NOON, said="applied", parked_growth=21), "given up 21 deliveries"),
        (node("n", given_at=NOON, said="applied", restarts=4), "start programs of its own anew 4 times"),
        (node("n", given_at=NOON, said="applied", absent=True, parked_growth=21), "given up 21 deliveries"),
        (node("n", given_at=NOON, said="applied", refused=2, accepted=18), "refused 2 of 20 images"),
        (node("n", given_at=NOON, said="applied", refused=1, accepted=3), ""),
        (node("n", given_at=NOON, said="applied"), ""),
        (node("n", said="rejected"), ""),
        (node("n", given_at=NOON, absent=True, last_contact_at=None), ""),
        (node("n", given_at=NOON, said="rejected", revoked=True), ""),
    ],
)
def test_what_a_node_does_not_bear_is_said_in_words(word: NodeWord, says: str) -> None:
    why = failure(word, Gates(), NOON)
    assert says in why
    assert bool(why) == bool(says)


def test_a_canary_that_is_not_heard_of_proves_nothing() -> None:
    facts = rollout(node("n", given_at=NOON, absent=True, last_contact_at=None), node("m", wave=1))
    assert step(facts, NOON) is None
    late = step(facts, NOON + timedelta(seconds=601))
    assert late is not None
    assert late.happening is Happening.GATE_FAILED


def test_a_pause_stops_the_waves_and_not_the_watch() -> None:
    facts = rollout(node("n", given_at=NOON, said="applied"), node("m", wave=1), state=RolloutState.PAUSED)
    assert step(facts, NOON) is None
    bad = step(replace(facts, nodes=[node("n", given_at=NOON, said="rolled_back"), node("m", wave=1)]), NOON)
    assert bad is not None
    assert bad.happening is Happening.GATE_FAILED
    assert "n took it and went back by itself" in bad.text


def test_a_node_that_does_not_go_back_in_time_makes_it_fail() -> None:
    facts = rollout(node("n", given_at=NOON), state=RolloutState.ROLLING_BACK, back_since=NOON - timedelta(hours=1))
    stuck = step(facts, NOON)
    assert stuck is not None
    assert stuck.happening is Happening.STUCK
    assert stuck.words == {"n": "has not taken back the policy before"}


def test_counters_are_read_over_all_labels_and_a_restart_counts_from_nothing() -> None:
    lines = (
        'skerry_edge_instances_refused_total{site="s",node="n",reason="full"} 3\n'
        'skerry_edge_instances_refused_total{site="s",node="n",reason="bad"} 4\n'
        'skerry_edge_instances_accepted_total{site="s",node="n"} 100\n'
        'skerry_edge_instances_held{site="s",node="n"} 5\n'
    )
    assert read_counters(lines) == Counters(refused=7, accepted=100)
    assert (grown(12, 10), grown(3, 10)) == (2, 3)


WORDS = st.sampled_from(["", "applying", "applied", "applied", "applied", "rejected", "rolled_back"])
GROWTH = st.sampled_from([0, 0, 0, 0, 5000])
EVENTS = st.lists(st.tuples(st.integers(0, 5), WORDS, GROWTH, st.booleans()), min_size=0, max_size=6)
PEOPLE = st.sampled_from([None, None, None, Happening.PAUSE, Happening.RESUME, Happening.ABORT])


@given(
    waves=st.lists(st.integers(0, 2), min_size=1, max_size=6),
    max_failed=st.integers(0, 1),
    ticks=st.lists(st.tuples(EVENTS, PEOPLE), max_size=60),
)
def test_a_roll_out_keeps_its_promises_whatever_nodes_and_people_do(
    waves: list[int], max_failed: int, ticks: list[tuple[list[tuple[int, str, int, bool]], Happening | None]]
) -> None:
    order = sorted(set(waves))
    nodes = [node(f"n{at}", order.index(wave)) for at, wave in enumerate(waves)]
    gates = Gates(max_failed=max_failed, apply_seconds=100)
    facts = rollout(*nodes, state=RolloutState.PLANNED, wave=-1, gates=gates)
    now, wanted = NOON, dict.fromkeys([one.node_id for one in nodes], "old")
    for events, person in ticks:
        now += TICK
        facts = replace(facts, nodes=[_heard(one, at, events, now) for at, one in enumerate(facts.nodes)])
        complete = _complete(facts, now)
        failed = sum(bool(failure(one, gates, now)) for one in facts.nodes)
        happening, due = None, step(facts, now)
        if due is not None:
            happening = due.happening
            if happening in {Happening.SOAKED, Happening.FINISHED}:
                assert failed <= max_failed
                assert facts.state is RolloutState.SOAKING
                assert facts.soak_ends is not None
                assert now >= facts.soak_ends
                assert _all_heard(facts, min(facts.soak_ends - SOAK, now - HEARD_OF), now)
                assert due.wave == facts.wave + (happening is Happening.SOAKED)
            if happening is Happening.ALL_APPLIED:
                assert complete
                assert due.soak_ends == now + SOAK
            if failed > max_failed and any(one.given for one in facts.nodes):
                assert not due.gives
        elif person is not None and after(facts.state, person) is not None:
            happening = person
        if failed > max_failed and facts.state in {RolloutState.RUNNING, RolloutState.SOAKING, RolloutState.PAUSED}:
            assert happening is Happening.GATE_FAILED
        if happening is None:
            continue
        state = after(facts.state, happening)
        assert state is not None
        gives = due.gives if due is not None else ()
        facts = replace(
            facts,
            state=state,
            wave=due.wave if due is not None else facts.wave,
            soak_ends=due.soak_ends if due is not None else None,
            back_since=now if state is RolloutState.ROLLING_BACK else facts.back_since,
            nodes=[replace(one, given_at=now) if one.node_id in gives else one for one in facts.nodes],
        )
        wanted |= dict.fromkeys(gives, "bad")
        if state is RolloutState.ROLLING_BACK:
            wanted |= {one.node_id: "old" for one in facts.nodes if one.given}
        if state in {RolloutState.ROLLING_BACK, RolloutState.ROLLED_BACK, RolloutState.FAILED}:
            assert "bad" not in wanted.values()
    assert facts.state not in ENDED or step(facts, now + timedelta(days=9)) is None


def _heard(one: NodeWord, at: int, events: list[tuple[int, str, int, bool]], now: datetime) -> NodeWord:
    for who, said, growth, back in events:
        if who == at:
            heard = replace(one, said=said, queue_growth=growth) if one.given else one
            return replace(heard, last_contact_at=now, is_back=back)
    return one


def _all_heard(facts: RolloutFacts, since: datetime, now: datetime) -> bool:
    watched = [one for one in facts.nodes if one.given and not failure(one, facts.gates, now)]
    return all(one.last_contact_at is not None and one.last_contact_at >= since for one in watched)


def _complete(facts: RolloutFacts, now: datetime) -> bool:
    given = [one for one in facts.nodes if one.given and not failure(one, facts.gates, now)]
    return all(one.said == "applied" for one in given)


def test_a_report_tells_what_was_taken_back_and_what_is_counted_under_a_policy() -> None:
    status = sync_pb2.PolicyStatus(
        attempt_state=sync_pb2.ATTEMPT_STATE_REJECTED, stage="rolled_back", error="it crashed", offer=7
    )
    figures = sync_pb2.PolicyFigures(parked=3, restarts=2)
    report = read_report(sync_pb2.ReportStatusRequest(policy=status, policy_figures=figures))
    assert (report.attempt_state, report.attempt_error, report.attempt_offer) == ("rolled_back", "it crashed", 7)
    assert report.policy_figures == {"parked": 3, "restarts": 2}
    assert read_report(sync_pb2.ReportStatusRequest()).policy_figures == {}
