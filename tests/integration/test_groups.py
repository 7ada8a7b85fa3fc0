"""Destinations that are groups: a member that is down is passed over and comes back; each study has its member."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.buffer.states import DeliveryEvent
from edge.buffer.store import Buffer
from edge.forward.base import Accepted, DestinationDown, Outcome, Refused, Settle
from edge.forward.group import GroupForwarder, chosen
from edge.model import ClaimedDelivery, DicomDestination, GroupDestination
from edge.window import Window
from provisioning.local.storescp import StoreScp
from tests.clocks import JumpingClock
from tests.edge_door import TunedEdge
from tests.edge_samples import data_set, routed, take
from tests.real_programs import require
from tests.scu import association, store


class Peer:
    """A member that the test hurts."""

    def __init__(self, answer: Callable[[str], Outcome] = lambda _uid: Accepted()) -> None:
        self.up, self.answer, self.asked = True, answer, 0
        self.took: list[str] = []
        self.breaks_after: int | None = None

    def deliver(self, deliveries: Sequence[ClaimedDelivery], settle: Settle) -> None:
        self.asked += 1
        for number, one in enumerate(deliveries):
            if not self.up or number == self.breaks_after:
                raise DestinationDown("it does not answer")
            uid = one.sealed.sop_instance_uid
            outcome = self.answer(uid)
            self.took += [uid] if isinstance(outcome, Accepted) else []
            settle(one, outcome)

    def rest(self) -> None:
        """Nothing is open."""

    def interrupt(self) -> None:
        """Nothing hangs."""

    def close(self) -> None:
        """Nothing is open."""


class Rig:
    """Three members, a clock, and what became of each instance."""

    def __init__(self, buffer: Buffer, how: Literal["failover", "balance"], window: Window | None = None) -> None:
        self.buffer, self.clock = buffer, JumpingClock()
        self.peers = {name: Peer() for name in ("a", "b", "c")}
        members = tuple(
            DicomDestination(name=name, host="h", port=1, ae_title="A", window=window if name == "a" else None)
            for name in self.peers
        )
        self.group = GroupForwarder(
            GroupDestination(name="pacs", how=how, members=members), self.peers, clock=self.clock
        )
        self.outcomes: dict[str, Outcome] = {}

    def send(self, *uids: str) -> None:
        self.buffer.admit([routed(take(self.buffer, uid), "pacs") for uid in uids])
        claimed = self.buffer.claim("pacs", 1000)

        def settle(one: ClaimedDelivery, outcome: Outcome) -> None:
            assert one.sealed.sop_instance_uid not in self.outcomes, "settled twice"
            self.outcomes[one.sealed.sop_instance_uid] = outcome
            if isinstance(outcome, Accepted):
                self.buffer.settle(one.delivery_id, DeliveryEvent.ACCEPTED)

        try:
            self.group.deliver(claimed, settle)
        finally:
            self.buffer.recover()


@pytest.fixture
def buffer(tmp_path: Path) -> Iterator[Buffer]:
    opened = Buffer(tmp_path)
    yield opened
    opened.close()


def test_the_first_member_that_is_well_gets_everything(buffer: Buffer) -> None:
    rig = Rig(buffer, "failover")
    rig.send("1.2.1", "1.2.2")
    assert rig.peers["a"].took == ["1.2.1", "1.2.2"]
    assert rig.outcomes["1.2.1"] == Accepted(note="by a")


def test_what_a_member_did_not_take_goes_to_the_next_at_once(buffer: Buffer) -> None:
    rig = Rig(buffer, "failover")
    rig.peers["a"].breaks_after = 1
    rig.send("1.2.1", "1.2.2", "1.2.3")
    assert rig.peers["a"].took == ["1.2.1"]
    assert rig.peers["b"].took == ["1.2.2", "1.2.3"]


def test_a_member_that_was_down_is_passed_over_for_a_while_and_then_gets_everything_again(buffer: Buffer) -> None:
    rig = Rig(buffer, "failover")
    rig.peers["a"].up = False
    rig.send("1.2.1")
    rig.peers["a"].up = True
    rig.send("1.2.2")
    assert rig.peers["a"].asked == 1
    rig.clock.wait(lambda _seconds: None, 300)
    rig.send("1.2.3")
    assert rig.peers["a"].took == ["1.2.3"]
    assert rig.peers["b"].took == ["1.2.1", "1.2.2"]


def test_with_all_members_down_the_group_is_down_and_says_why_of_each(buffer: Buffer) -> None:
    rig = Rig(buffer, "failover")
    for peer in rig.peers.values():
        peer.up = False
    with pytest.raises(DestinationDown, match="a: it does not answer; b: it does not answer; c: "):
        rig.send("1.2.1")
    for peer in rig.peers.values():
        peer.up = True
    rig.send("1.2.2")  # at once: the lane has waited already
    assert set(rig.outcomes) == {"1.2.1", "1.2.2"}


def test_what_a_member_refuses_is_refused(buffer: Buffer) -> None:
    rig = Rig(buffer, "failover")
    rig.peers["a"].answer = lambda _uid: Refused(reason="not for us", status=0xA900)
    rig.send("1.2.1")
    assert rig.outcomes["1.2.1"] == Refused(reason="a: not for us", status=0xA900)
    assert rig.peers["b"].asked == 0


def test_a_member_outside_its_hours_is_passed_over(buffer: Buffer) -> None:
    rig = Rig(buffer, "failover", Window(start="12:00", end="13:00", zone="UTC"))  # the clock begins at midnight
    rig.send("1.2.1")
    assert rig.peers["b"].took == ["1.2.1"]
    rig.clock.wait(lambda _seconds: None, 12.5 * 3600)
    rig.send("1.2.2")
    assert rig.peers["a"].took == ["1.2.2"]


def test_a_balanced_group_keeps_each_study_together_and_uses_all_members(buffer: Buffer) -> None:
    rig = Rig(buffer, "balance")
    studies = [f"1.3.{number}" for number in range(40)]
    contents = {f"{study}.{image}": study for study in studies for image in range(3)}
    arrivals = [
        replace(routed(take(buffer, uid, data_set(uid)), "pacs"), study_instance_uid=study)
        for uid, study in contents.items()
    ]
    buffer.admit(arrivals)
    outcomes: Counter[str] = Counter()
    rig.group.deliver(buffer.claim("pacs", 1000), lambda one, _outcome: outcomes.update([one.sealed.sop_instance_uid]))
    assert set(outcomes.values()) == {1}
    assert set(outcomes) == set(contents)
    homes = {name: {contents[uid] for uid in peer.took} for name, peer in rig.peers.items()}
    assert all(homes.values())
    assert sum(map(len, homes.values())) == len(studies), "a study is at two members"


@pytest.mark.parametrize("how", ["failover", "balance"])
def test_a_lane_that_wants_to_stop_is_heard_and_nothing_is_settled_twice(
    buffer: Buffer, how: Literal["failover", "balance"]
) -> None:
    rig = Rig(buffer, how)
    uids = [f"1.2.{number}" for number in range(30)]
    buffer.admit([replace(routed(take(buffer, uid), "pacs"), study_instance_uid=f"1.3.{uid}") for uid in uids])
    settled: Counter[str] = Counter()

    def settle(one: ClaimedDelivery, _outcome: Outcome) -> None:
        settled.update([one.sealed.sop_instance_uid])
        if len(settled) >= 5:
            raise KeyError("stop")

    with pytest.raises(KeyError, match="stop"):
        rig.group.deliver(buffer.claim("pacs", 100), settle)
    taken = [uid for peer in rig.peers.values() for uid in peer.took]
    assert Counter(taken) == settled


@given(st.lists(st.text("abcdefgh", min_size=1), min_size=2, max_size=8, unique=True), st.data())
def test_when_a_member_leaves_only_its_studies_move(members: list[str], data: st.DataObject) -> None:
    gone = data.draw(st.sampled_from(members))
    left = [one for one in members if one != gone]
    for number in range(30):
        study = f"1.2.{number}"
        before, after = chosen(study, members), chosen(study, left)
        assert after == before or before == gone
        assert chosen(study, members[::-1]) == before


def test_through_a_node_nothing_is_lost_while_members_come_and_go(tmp_path: Path) -> None:
    require("storescp")
    one, other = StoreScp(tmp_path / "one", ae_title="ONE"), StoreScp(tmp_path / "other", ae_title="OTHER")
    policy = tmp_path / "policy.yaml"
    policy.write_text(
        f"""skerry: 1
destinations:
  - {{name: one, kind: dicom, ae_title: ONE, host: 127.0.0.1, port: {one.port}}}
  - {{name: other, kind: dicom, ae_title: OTHER, host: 127.0.0.1, port: {other.port}}}
  - {{name: pacs, kind: failover, members: [one, other]}}
routes:
  - {{name: everything, to: [pacs]}}
""",
        encoding="utf-8",
    )
    uids = [f"1.2.{number}" for number in range(30)]
    with TunedEdge(tmp_path, policy=policy, retry_cap_seconds=1) as edge, other:
        one.start()
        for number, uid in enumerate(uids):
            if number == 10:
                one.stop()
            if number == 20:
                one.start()
            with association(edge.dicom_port) as peer:
                assert store(peer, uid, data_set(uid)) == 0x0000
        try:
            edge.wait(lambda: edge.facts()["deliveries_waiting"] == 0, "not all arrived", seconds=60)
            (held,) = edge.ask("trace", "1.2.15")
            assert set(one.received()) | set(other.received()) == set(uids)
        finally:
            one.stop()
    (delivery,) = held["deliveries"]
    assert delivery["reason"] == "by other"
