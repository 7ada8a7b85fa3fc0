"""Nodes for tests of roll-outs: they pull, answer and report as edges do, against the services without a wire."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from control.figures.lines import Sample
from control.nodes.reports import NodeCaller
from control.nodes.service import NewNode
from control.policies.board import Place
from control.rollouts.gates import Gates
from control.rollouts.states import RolloutState
from control.rollouts.view import RolloutView
from control.services import Core
from tests.conftest import Figures
from tests.control_fixtures import GOOD_POLICY, FakeClock
from tests.status_reports import of_policies, say

SOAK = 60
BAD = b"bad"
NEXT_POLICY = GOOD_POLICY.replace(b"everything", b"all")
BAD_POLICY = GOOD_POLICY.replace(b"everything", BAD)


@dataclass
class FleetNode:
    """A node, and what it makes of a policy that names `bad`."""

    caller: NodeCaller
    habit: str = ""
    """`` | nack | rolled_back | parked | refusing | quarantining | silent | stuck"""
    runs: Place = (0, 0)
    attempt: Place = (0, 0)
    state: str = ""
    error: str = ""
    parked: int = 0
    refused: float = 0.0
    got: list[Place] = field(default_factory=list)
    got_bad: int = 0
    awake: bool = True

    def offered(self, place: Place, document: bytes) -> None:
        """Make something of it."""
        bad = BAD in document
        self.got.append(place)
        self.got_bad += bad
        self.attempt, self.state, self.error = place, "applied", ""
        if bad and self.habit == "nack":
            self.state, self.error = "rejected", "line 4: no such peer"
        elif bad and self.habit == "rolled_back":
            self.state, self.error = "rolled_back", "it crashed three times within its probation"
        elif bad and self.habit == "stuck":
            self.state = "applying"
        else:
            self.runs = place
            if bad:
                self.parked += 50 if self.habit == "parked" else 0
                self.refused += 40 if self.habit == "refusing" else 0


class Fleet:
    """All nodes of a test."""

    def __init__(self, core: Core, clock: FakeClock) -> None:
        self.core, self.clock = core, clock
        self.nodes: dict[str, FleetNode] = {}

    async def add(self, sites: Mapping[str, int], *, habit: str = "", silent: int = 0) -> None:
        """Sites that run version 1, each with so many nodes; `silent` of all were never heard of."""
        for name, count in sites.items():
            site = await self.core.sites.add(name, actor="test")
            async with self.core.database.transaction() as tx:
                for number in range(count):
                    node_id = f"{name}{number:02d}"
                    new = NewNode(id=node_id, name=node_id, key_fingerprint="f" * 64, certificate_ends=self.clock.now)
                    await self.core.nodes.admit(tx, site, new, actor="test")
            await self.core.policies.upload(name, GOOD_POLICY, actor="test")
            await self.core.policies.publish(name, 1, actor="test")
            for number in range(count):
                caller = NodeCaller(node_id=f"{name}{number:02d}", name="", site_id=site.id, site=name)
                self.nodes[caller.node_id] = FleetNode(caller, habit=habit, awake=len(self.nodes) >= silent)
        await self.live()

    async def live(self) -> None:
        """Each node that is awake pulls once and reports."""
        for node in self.nodes.values():
            if not node.awake:
                continue
            offer = await self.core.policies.pull(node.caller, have=node.runs, wait_seconds=0)
            if offer is not None and (offer.generation, offer.version) != node.attempt:
                node.offered((offer.generation, offer.version), offer.document)
        for node in self.nodes.values():
            if node.awake:
                await self._report(node)
                node.awake = not (node.got_bad and node.habit == "silent")
        await self.core.figures.write()

    async def _report(self, node: FleetNode) -> None:
        said = of_policies(
            active=node.runs, attempt=node.attempt, state=node.state, error=node.error, parked=node.parked
        )
        if node.habit == "quarantining" and node.got_bad and node.state == "applied":
            said = replace(said, policy_figures={"quarantined": 30, "delivered": 100})
        await say(self.core, node.caller, said)
        totals = {"refused": node.refused, "accepted": 100.0}
        samples = [
            Sample(name=f"skerry_edge_instances_{name}_total", labels={}, value=value) for name, value in totals.items()
        ]
        self.core.figures.hear(node.caller, samples)

    async def pass_time(self, *, rounds: int, seconds: int = 20) -> None:
        """Rounds of nodes that live and a driver that looks."""
        for _ in range(rounds):
            self.clock.advance(timedelta(seconds=seconds))
            await self.core.rollout_driver.drive()
            await self.live()

    def runs(self) -> Sequence[Place]:
        """What each runs."""
        return [one.runs for one in self.nodes.values()]


async def start(
    core: Core,
    *sites: str,
    document: bytes = NEXT_POLICY,
    waves: Sequence[str] = ("1", "50%", "100%"),
    gates: Gates | None = None,
) -> RolloutView:
    """Begin a roll-out."""
    return await core.rollouts.start(
        sites or ("north",), document, waves=waves, soak_seconds=SOAK, gates=gates or Gates(), actor="eva"
    )


async def goes_back_from_the_canary(fleet: Fleet, habit: str, says: str, figures: Figures) -> None:
    """Roll out what nodes of this habit do not bear: one gets it, the reason is told, and all is as it was."""
    core = fleet.core
    await fleet.add({"north": 4}, habit=habit)
    rollout = await start(core, document=BAD_POLICY, gates=Gates(apply_seconds=100))
    for _ in range(14):
        await fleet.pass_time(rounds=1)
        shown = await core.rollouts.get(rollout.id)
        if shown.state is RolloutState.ROLLED_BACK:
            break
    touched = [one for one in fleet.nodes.values() if one.got_bad]
    took = shown.steps[-1].at - shown.steps[0].at
    figures(f"bad policy ({habit}): {len(touched)} of 4 nodes got it, all back after {took.total_seconds():.0f} s")
    assert shown.state is RolloutState.ROLLED_BACK
    assert len(touched) == 1
    assert [says in one.text for one in shown.steps if one.happening == "gate failed"] == [True]
    [reason] = [one.reason for one in shown.nodes if one.reason and one.node_id == touched[0].caller.node_id]
    assert says in reason or habit == "silent"
    places = await core.policies.places()
    assert {version for _, version in (place for _, place in places.nodes.values())} == {1}
    assert set(places.sites.values()) == {(1, 1)}
    if habit == "silent":
        touched[0].awake, touched[0].habit = True, ""
        await fleet.live()
    assert touched[0].runs == (2, 1)
    assert {one.runs for one in fleet.nodes.values()} == {(1, 1), (2, 1)}
