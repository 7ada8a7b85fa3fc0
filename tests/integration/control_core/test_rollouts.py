"""A policy goes to few nodes first; one that they do not bear stops there, and goes back by itself."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from control.audit.service import AuditService
from control.enrolment.ca_files import MeshKeys
from control.enrolment.service import Endpoints
from control.overview.schemas import fleet_site
from control.overview.service import FleetService
from control.policy_errors import InvalidRollout, NothingToGoBackTo, NotNow, PolicyHeld, RolloutMoved
from control.rollouts.states import Happening, RolloutState
from control.services import Core, build_core
from tests.conftest import Figures
from tests.control_fixtures import FakeClock
from tests.rollout_fleet import BAD_POLICY, NEXT_POLICY, SOAK, Fleet, goes_back_from_the_canary, start


@pytest.fixture
def fleet(core: Core, clock: FakeClock) -> Fleet:
    return Fleet(core, clock)


async def test_a_good_policy_goes_wave_after_wave_and_is_the_policy_of_the_site_at_its_end(
    core: Core, fleet: Fleet
) -> None:
    await fleet.add({"north": 6})
    rollout = await start(core)
    seen = []
    for _ in range(16):
        await fleet.pass_time(rounds=1)
        seen.append(sum(place == (1, 2) for place in fleet.runs()))
    assert sorted(set(seen)) == [1, 3, 6]
    shown = await core.rollouts.get(rollout.id)
    assert shown.state is RolloutState.DONE
    assert [one.happening for one in shown.steps] == [
        "begin", "all applied", "soaked", "all applied", "soaked", "all applied", "finished",
    ]  # fmt: skip
    soaks = [later.at - earlier.at for earlier, later in zip(shown.steps[1::2], shown.steps[2::2], strict=False)]
    assert min(soaks) >= timedelta(seconds=SOAK)
    [site] = await core.provisions.get(FleetService).page(after="", limit=9)
    assert site.assigned == {}
    assert site.wanted is not None
    assert (site.wanted.generation, site.wanted.version) == (1, 2)
    assert {one.policy_state for one in fleet_site(site, core.clock()).nodes} == {"applied"}
    trail = await core.provisions.get(AuditService).page(before=None, limit=100)
    assert {"rollout.start", "rollout.begin", "rollout.finished", "policy.assign"} <= {one.action for one in trail}


@pytest.mark.parametrize(
    ("habit", "says"),
    [
        ("nack", "refused it: line 4: no such peer"),
        ("rolled_back", "went back by itself: it crashed three times"),
        ("parked", "has given up 50 deliveries"),
    ],
)
async def test_a_bad_policy_stops_at_the_canary_and_goes_back_by_itself(
    core: Core, fleet: Fleet, habit: str, says: str, figures: Figures
) -> None:
    await goes_back_from_the_canary(fleet, habit, says, figures)


async def test_nodes_that_were_never_heard_of_are_waited_for_by_nobody(core: Core, fleet: Fleet) -> None:
    await fleet.add({"north": 5}, silent=2)
    rollout = await start(core)
    await fleet.pass_time(rounds=16)
    shown = await core.rollouts.get(rollout.id)
    assert shown.state is RolloutState.DONE
    assert sorted(one.wave for one in shown.nodes if one.state == "absent") == [3, 3]


async def test_one_roll_out_goes_over_several_sites_and_back_at_all_that_had_it(core: Core, fleet: Fleet) -> None:
    await fleet.add({"north": 3, "south": 3})
    for one in fleet.nodes.values():
        one.habit = "parked" if one.caller.site == "south" else ""
    await core.policies.upload("south", NEXT_POLICY, actor="test")  # versions differ between sites
    rollout = await start(core, "north", "south", document=BAD_POLICY, waves=("100%",))
    assert [(one.site, one.version) for one in rollout.sites] == [("north", 2), ("south", 3)]
    await fleet.pass_time(rounds=8)
    shown = await core.rollouts.get(rollout.id)
    assert shown.state is RolloutState.ROLLED_BACK
    assert set(fleet.runs()) == {(2, 1)}
    assert {one.state for one in shown.nodes} == {"back"}


async def test_people_pause_resume_and_abort_and_nobody_else_publishes_meanwhile(core: Core, fleet: Fleet) -> None:
    await fleet.add({"north": 4})
    rollout = await start(core)
    await fleet.pass_time(rounds=2)
    paused = await core.rollouts.say(rollout.id, Happening.PAUSE, actor="eva", if_match=None)
    with pytest.raises(RolloutMoved):
        await core.rollouts.say(rollout.id, Happening.RESUME, actor="eva", if_match=rollout.etag)
    await fleet.pass_time(rounds=9)
    assert sum(place == (1, 2) for place in fleet.runs()) == 1
    with pytest.raises(PolicyHeld, match=rollout.id):
        await core.policies.publish("north", 1, actor="test")
    with pytest.raises(PolicyHeld):
        await start(core)
    await core.rollouts.say(rollout.id, Happening.RESUME, actor="eva", if_match=paused.etag)
    await fleet.pass_time(rounds=6)
    assert sum(place == (1, 2) for place in fleet.runs()) == 2
    await core.rollouts.say(rollout.id, Happening.ABORT, actor="eva", if_match="*")
    await core.policies.publish("north", 2, actor="test")  # the site is free at once
    await fleet.pass_time(rounds=3)
    assert set(fleet.runs()) == {(3, 2)}
    assert (await core.rollouts.get(rollout.id)).state is RolloutState.ROLLED_BACK
    with pytest.raises(NotNow):
        await core.rollouts.say(rollout.id, Happening.ABORT, actor="eva", if_match=None)


async def test_a_roll_out_needs_nodes_and_a_policy_to_go_back_to(core: Core, fleet: Fleet) -> None:
    await core.sites.add("empty", actor="test")
    with pytest.raises(InvalidRollout):
        await start(core, "empty")
    await fleet.add({"north": 1})
    with pytest.raises(NothingToGoBackTo, match="empty"):
        await start(core, "north", "empty")
    assert await core.rollouts.page(scope=None, site=None, before=None, limit=9) == []
    await core.policies.publish("north", 1, actor="test")  # nothing of it stayed


async def test_replicas_that_look_at_the_same_moment_take_each_step_once(
    core: Core, fleet: Fleet, keys: MeshKeys, clock: FakeClock
) -> None:
    await fleet.add({"north": 4})
    replicas = [core, *(build_core(core.database, keys, Endpoints(https="x:1", grpc="x:2"), clock) for _ in range(3))]
    rollout = await start(core)
    taken = 0
    for _ in range(16):
        clock.advance(timedelta(seconds=20))
        taken += sum(await asyncio.gather(*(one.rollout_driver.drive() for one in replicas)))
        await core.policies.assigning.tell()
        await fleet.live()
    shown = await core.rollouts.get(rollout.id)
    assert shown.state is RolloutState.DONE
    assert [one.turn for one in shown.steps] == list(range(1, 8))
    assert taken == 7
    assert all(len(one.got) == 2 for one in fleet.nodes.values())
