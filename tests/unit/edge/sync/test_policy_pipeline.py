"""A policy on probation: applied means healthy, harm is taken back, and what was refused is not tried again."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.errors import PolicyError
from edge.health import HealthBoard
from edge.sync.conditions import LinkHealth
from edge.sync.policy_pipeline import PolicyPipeline
from edge.sync.policy_start import begin
from edge.sync.policy_store import PolicyStore
from edge.sync.probation import Counts, Harm, Terms
from mesh.v1.common_pb2 import PolicyBundle
from mesh.v1.sync_pb2 import (
    ATTEMPT_STATE_APPLIED,
    ATTEMPT_STATE_APPLYING,
    ATTEMPT_STATE_REJECTED,
    LocalOverride,
)
from tests.certificates import MeshAuthority
from tests.signed_policies import bundle

MESH = MeshAuthority()
TERMS = Terms(seconds=60)


class PowerCut(BaseException):
    """Ends a step as a crash would: nothing after it happens."""


class Bench:
    """A pipeline over a real store, with a clock and counters of its own."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.board = HealthBoard()
        self.now = 1000.0
        self.counts = Counts()
        self.applied: list[int] = []
        self.sample: dict[int, Harm] = {}
        self.deadly: set[int] = set()
        self.override: LocalOverride | None = None
        self.restart()

    def restart(self) -> None:
        """As a start of core: what runs comes from the disk."""
        self.store = self._store()
        begin(self.store, TERMS)
        stored = self.store.load()
        self.pipeline = PolicyPipeline(
            policies=self._store(),
            health=LinkHealth(self.board),
            running=stored.bundle if stored else None,
            apply_policy=self._apply,
            dry_run=self._dry_run,
            counts=lambda: self.counts,
            terms=TERMS,
            monotonic=lambda: self.now,
            override=lambda: self.override,
        )

    def offer(self, policy: PolicyBundle) -> None:
        self.pipeline.consider(policy, asked_with=self.pipeline.running)

    def pass_probation(self) -> None:
        self.now += 61
        self.pipeline.watch()

    def commit(self, policy: PolicyBundle) -> None:
        self.offer(policy)
        self.pass_probation()

    def runs(self) -> int:
        """What runs now; the disk says the same."""
        running = self.pipeline.running
        stored = self._store().load()
        assert (stored.bundle if stored else None) == running
        return running.version.version if running else 0

    def stage(self) -> tuple[int, str]:
        state = self.pipeline.state()
        return state.attempt.version, state.stage

    def codes(self) -> set[str]:
        return {condition.code for condition in self.board.current()}

    def _store(self) -> PolicyStore:
        return PolicyStore(self.data_dir, site="north", public_key=MESH.policy_public_key)

    def _dry_run(self, policy: PolicyBundle) -> Harm | None:
        if policy.version.version in self.deadly:
            raise PowerCut
        return self.sample.get(policy.version.version)

    def _apply(self, policy: PolicyBundle) -> None:
        self.applied.append(policy.version.version)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_a_policy_runs_at_once_and_is_told_as_applied_after_its_probation(bench: Bench) -> None:
    bench.commit(bundle(MESH, 1))
    bench.offer(bundle(MESH, 2))
    assert (bench.runs(), bench.stage()) == (2, (2, "on_probation"))
    assert bench.pipeline.state().attempt_state == ATTEMPT_STATE_APPLYING
    assert bench.pipeline.state().active.version == 2
    bench.now += 30
    assert bench.pipeline.watch()
    assert bench.stage() == (2, "on_probation")
    bench.now += 31
    assert not bench.pipeline.watch()
    assert (bench.runs(), bench.stage()) == (2, (2, "committed"))
    assert bench.pipeline.state().attempt_state == ATTEMPT_STATE_APPLIED
    assert bench.codes() == set()


def test_a_policy_that_does_harm_is_taken_back_told_and_remembered(bench: Bench) -> None:
    bench.commit(bundle(MESH, 1))
    bench.offer(bundle(MESH, 2))
    bench.counts = Counts(accepted=20, parked=20)
    assert not bench.pipeline.watch()
    assert (bench.runs(), bench.stage()) == (1, (2, "rolled_back"))
    state = bench.pipeline.state()
    assert (state.attempt_state, state.code) == (ATTEMPT_STATE_REJECTED, "failing")
    assert state.error == "20 of 20 tries to deliver failed since it was activated (0% before)."
    assert state.active.version == 1
    assert bench.codes() == {"policy-rolled-back"}
    bench.offer(bundle(MESH, 2))
    bench.restart()
    bench.offer(bundle(MESH, 2))
    assert (bench.runs(), bench.stage()) == (1, (2, "rolled_back"))
    assert bench.applied == [1, 2, 1]
    assert bench.codes() == {"policy-rolled-back"}


def test_a_refused_policy_that_people_publish_anew_is_tried_once_more(bench: Bench) -> None:
    bench.commit(bundle(MESH, 1))
    bench.offer(bundle(MESH, 2))
    bench.counts = Counts(parked=20)
    bench.pipeline.watch()
    anew = bundle(MESH, 2)
    anew.offer = 5
    bench.offer(anew)
    assert (bench.runs(), bench.stage()) == (2, (2, "on_probation"))
    assert bench.pipeline.state().offer == 5
    bench.pass_probation()
    assert bench.stage() == (2, "committed")
    assert bench.codes() == set()


def test_going_back_and_forth_between_two_bad_policies_tries_each_once(bench: Bench) -> None:
    bench.commit(bundle(MESH, 1))
    bench.sample = {version: Harm(code="dry_run", reason="It fails.") for version in (2, 3)}
    for version in (2, 3, 2, 3, 2):
        bench.offer(bundle(MESH, version))
    assert bench.stage() == (3, "rejected")
    assert bench.applied == [1]
    assert bench.codes() == {"policy-refused"}


def test_a_newer_policy_on_top_of_one_on_probation_falls_back_to_the_committed_one(bench: Bench) -> None:
    bench.commit(bundle(MESH, 1))
    bench.offer(bundle(MESH, 2))
    bench.offer(bundle(MESH, 3))
    assert (bench.runs(), bench.stage()) == (3, (3, "on_probation"))
    bench.counts = Counts(restarts=3)
    bench.pipeline.watch()
    assert bench.runs() == 1


def test_a_refused_policy_does_not_end_the_probation_of_the_one_that_runs(bench: Bench) -> None:
    bench.commit(bundle(MESH, 1))
    bench.offer(bundle(MESH, 2))
    bench.sample[3] = Harm(code="dry_run", reason="It fails.")
    bench.offer(bundle(MESH, 3))
    assert (bench.runs(), bench.stage()) == (2, (3, "rejected"))
    bench.pass_probation()
    assert (bench.runs(), bench.stage()) == (2, (2, "committed"))


def test_the_first_policy_is_never_taken_back_for_what_destinations_do(bench: Bench) -> None:
    bench.offer(bundle(MESH, 1))
    bench.counts = Counts(parked=500)
    bench.pass_probation()
    assert (bench.runs(), bench.stage()) == (1, (1, "committed"))


def test_a_probation_goes_on_after_a_restart_against_the_same_baseline(bench: Bench) -> None:
    bench.commit(bundle(MESH, 1))
    bench.counts = Counts(accepted=100, delivered=100)
    bench.offer(bundle(MESH, 2))
    bench.restart()
    assert (bench.runs(), bench.stage()) == (2, (2, "on_probation"))
    bench.counts = Counts(accepted=120, delivered=100, parked=20)
    bench.pipeline.watch()
    assert (bench.runs(), bench.stage()) == (1, (2, "rolled_back"))


def test_a_core_that_dies_of_its_policy_goes_back_to_the_one_before_by_itself(bench: Bench) -> None:
    bench.commit(bundle(MESH, 1))
    bench.offer(bundle(MESH, 2))
    bench.restart()
    bench.restart()
    assert bench.runs() == 2
    bench.restart()
    assert (bench.runs(), bench.stage()) == (1, (2, "rolled_back"))
    assert bench.pipeline.state().code == "crashes"
    bench.offer(bundle(MESH, 2))
    assert bench.runs() == 1


def test_a_core_that_dies_of_its_very_first_policy_has_none_then(bench: Bench) -> None:
    bench.offer(bundle(MESH, 1))
    for _ in range(3):
        bench.restart()
    assert (bench.runs(), bench.stage()) == (0, (1, "rolled_back"))


def test_a_policy_that_core_does_not_survive_loading_is_refused_after_a_few_tries(bench: Bench) -> None:
    bench.commit(bundle(MESH, 1))
    bench.deadly.add(2)
    for _ in range(3):
        with pytest.raises(PowerCut):
            bench.offer(bundle(MESH, 2))
        bench.restart()
        assert bench.runs() == 1
    bench.offer(bundle(MESH, 2))
    assert (bench.runs(), bench.stage()) == (1, (2, "rejected"))
    assert bench.pipeline.state().code == "crashes"


def test_starts_after_the_probation_are_nobodys_fault(bench: Bench) -> None:
    bench.commit(bundle(MESH, 1))
    bench.commit(bundle(MESH, 2))
    for _ in range(10):
        bench.restart()
    assert (bench.runs(), bench.stage()) == (2, (2, "committed"))


def test_the_numbers_for_the_centre_count_from_the_activation(bench: Bench) -> None:
    bench.commit(bundle(MESH, 1))
    bench.counts = Counts(accepted=100, delivered=90, waiting=10)
    bench.offer(bundle(MESH, 2))
    bench.counts = Counts(accepted=130, delivered=95, failed=2, parked=1, restarts=1, waiting=33)
    bench.now += 20
    figures = bench.pipeline.figures()
    assert figures is not None
    assert (figures.seconds, figures.probation_seconds_left) == (20, 40)
    assert (figures.accepted, figures.delivered, figures.failed, figures.parked) == (30, 5, 2, 1)
    assert (figures.restarts, figures.waiting, figures.waiting_then) == (1, 33, 10)


def test_a_policy_that_a_restart_cannot_load_is_taken_back(bench: Bench) -> None:
    bench.commit(bundle(MESH, 1))
    bench.offer(bundle(MESH, 2))
    store = PolicyStore(bench.data_dir, site="north", public_key=MESH.policy_public_key)
    begin(store, TERMS)
    pipeline = PolicyPipeline(  # core fell back in memory
        policies=store,
        health=LinkHealth(bench.board),
        running=bundle(MESH, 1),
        apply_policy=bench._apply,
        terms=TERMS,
    )
    assert (pipeline.state().stage, pipeline.state().code) == ("rolled_back", "does_not_load")
    assert store.active() == bundle(MESH, 1)


def test_a_full_disk_at_the_roll_back_is_told_and_mended_later(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    bench.commit(bundle(MESH, 1))
    bench.offer(bundle(MESH, 2))
    bench.counts = Counts(restarts=5)
    monkeypatch.setattr(Path, "replace", full)
    bench.pipeline.watch()
    assert bench.pipeline.running == bundle(MESH, 1)
    assert bench.codes() == {"policy-rolled-back", "policy-not-saved"}
    monkeypatch.undo()
    bench.pipeline.watch()
    assert bench.runs() == 1
    assert bench.codes() == {"policy-rolled-back"}


def test_a_policy_that_does_not_load_is_rejected_with_its_code(bench: Bench) -> None:
    def refuse(policy: PolicyBundle) -> None:
        raise PolicyError("there is no attribute Modalityy")

    bench.pipeline._dry_run = refuse
    bench.offer(bundle(MESH, 1))
    assert (bench.stage(), bench.pipeline.state().code) == ((1, "rejected"), "does_not_load")


def test_a_forged_policy_is_rejected_with_its_code(bench: Bench) -> None:
    bench.offer(bundle(MeshAuthority(), 1))
    assert (bench.stage(), bench.pipeline.state().code) == ((1, "rejected"), "signature")


def test_no_time_on_probation_passes_while_a_person_lets_another_policy_run(bench: Bench) -> None:
    bench.commit(bundle(MESH, 1))
    bench.override = LocalOverride(placed_by="anna", for_seconds=3600)
    bench.offer(bundle(MESH, 2))
    bench.counts = Counts(accepted=50, parked=50)  # of the other one
    bench.pass_probation()
    assert (bench.runs(), bench.stage()) == (2, (2, "on_probation"))
    assert bench.pipeline.state().override.placed_by == "anna"
    bench.override = None
    bench.now += 30
    bench.pipeline.watch()
    assert bench.stage() == (2, "on_probation")
    assert not bench.pipeline.state().HasField("override")
    bench.pass_probation()
    assert bench.stage() == (2, "committed")
