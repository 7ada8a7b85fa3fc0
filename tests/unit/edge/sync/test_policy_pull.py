"""The policy duty against the twin: only what the node has applied becomes what the next start runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.errors import Diagnostic, PolicyError
from edge.health import HealthBoard
from edge.sync.conditions import LinkHealth
from edge.sync.policy_pipeline import PolicyPipeline
from edge.sync.policy_pull import PullPolicy
from edge.sync.policy_store import PolicyStore
from edge.sync.probation import Terms
from mesh.v1.common_pb2 import PolicyBundle
from mesh.v1.sync_pb2 import (
    ATTEMPT_STATE_APPLIED,
    ATTEMPT_STATE_APPLYING,
    ATTEMPT_STATE_REJECTED,
    PullPolicyRequest,
    ReportStatusRequest,
)
from tests.certificates import MeshAuthority
from tests.control_twin import ControlTwin, InMemoryUplink
from tests.signed_policies import bundle

MESH = MeshAuthority()


class Bench:
    """The duty between a store and a twin; `refuse` maps a version to why the node must not run it."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.twin = ControlTwin(MESH)
        self.board = HealthBoard()
        self.applied: list[int] = []
        self.refuse: dict[int, Exception] = {}
        self.duty = self.again()

    def again(self) -> PullPolicy:
        """The duty of a restarted process: what runs comes from the disk."""
        self.store = PolicyStore(self.data_dir, site="north", public_key=MESH.policy_public_key)
        stored = self.store.load()
        self.pipeline = PolicyPipeline(
            policies=self.store,
            health=LinkHealth(self.board),
            running=stored.bundle if stored else None,
            apply_policy=self._apply,
            terms=Terms(seconds=0),
        )
        self.duty = PullPolicy(uplink=InMemoryUplink(self.twin), pipeline=self.pipeline, long_poll_seconds=0)
        return self.duty

    def offer(self, policy: PolicyBundle) -> float:
        self.twin.publish(policy)
        return self.duty.step()

    def on_disk(self) -> int:
        stored = self.store.load()
        return stored.bundle.version.version if stored else 0

    def codes(self) -> set[str]:
        return {condition.code for condition in self.board.current()}

    def _apply(self, policy: PolicyBundle) -> None:
        if (error := self.refuse.get(policy.version.version)) is not None:
            raise error
        self.applied.append(policy.version.version)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_a_policy_runs_and_then_is_what_the_next_start_runs(bench: Bench) -> None:
    bench.offer(bundle(MESH, 1))
    assert bench.applied == [1]
    assert bench.on_disk() == 1
    assert bench.pipeline.state().attempt_state == ATTEMPT_STATE_APPLIED
    assert bench.pipeline.state().active.version == 1


def test_a_policy_is_not_on_disk_before_the_node_has_applied_it(bench: Bench) -> None:
    seen: list[int] = []
    bench.refuse = {}
    original = bench._apply

    def look(policy: PolicyBundle) -> None:
        seen.append(bench.on_disk())
        original(policy)

    bench.pipeline._apply = look
    bench.offer(bundle(MESH, 1))
    bench.offer(bundle(MESH, 2))
    assert seen == [0, 1]


def test_what_runs_already_is_not_applied_again(bench: Bench) -> None:
    bench.offer(bundle(MESH, 1))
    bench.duty.step()
    assert bench.applied == [1]


def test_a_refused_policy_is_told_remembered_and_leaves_the_active_one(bench: Bench) -> None:
    bench.offer(bundle(MESH, 1))
    bench.refuse[2] = PolicyError("route all-ct: there is no attribute Modalityy")
    bench.offer(bundle(MESH, 2))
    status = bench.pipeline.state()
    assert (status.active.version, status.attempt.version) == (1, 2)
    assert status.attempt_state == ATTEMPT_STATE_REJECTED
    assert "Modalityy" in status.error
    assert bench.on_disk() == 1
    assert bench.codes() == {"policy-refused"}


def test_the_refusal_names_every_error_with_line_and_column_and_no_warning(bench: Bench) -> None:
    bench.refuse[1] = PolicyError(
        "2 errors",
        diagnostics=(
            Diagnostic(severity="error", line=4, column=9, message="no such attribute.", hint="Did you mean Modality?"),
            Diagnostic(severity="warning", line=5, column=1, message="no route uses it"),
            Diagnostic(severity="error", line=0, column=0, message="it cannot be read"),
        ),
    )
    bench.offer(bundle(MESH, 1))
    assert bench.pipeline.state().error.split("\n") == [
        "2 errors",
        "line 4, column 9: no such attribute. Did you mean Modality?",
        "it cannot be read",
    ]


def test_a_refused_policy_is_not_tried_again_also_after_a_restart(bench: Bench) -> None:
    bench.refuse[1] = PolicyError("it does not compile")
    bench.offer(bundle(MESH, 1))
    bench.refuse.clear()
    assert bench.duty.step() == 60.0
    bench.again()
    assert bench.pipeline.state().attempt_state == ATTEMPT_STATE_REJECTED
    assert bench.duty.step() == 60.0
    assert bench.applied == []
    assert bench.codes() == {"policy-refused"}


def test_the_next_policy_ends_the_refusal(bench: Bench) -> None:
    bench.refuse[1] = PolicyError("it does not compile")
    bench.offer(bundle(MESH, 1))
    bench.offer(bundle(MESH, 2))
    assert bench.applied == [2]
    assert bench.codes() == set()
    assert bench.store.rejections.last() is None


def test_the_centre_hears_of_the_refusal_and_stops_offering(bench: Bench) -> None:
    bench.refuse[1] = PolicyError("it does not compile")
    bench.offer(bundle(MESH, 1))
    InMemoryUplink(bench.twin).report_status(ReportStatusRequest(boot_id="b", policy=bench.pipeline.state()))
    assert bench.duty.step() == 0.0


@pytest.mark.parametrize(
    ("offered", "words"),
    [
        (bundle(MeshAuthority(), 2), "signature"),
        (bundle(MESH, 2, site="south"), "'south'"),
        (bundle(MESH, 0), "higher generation"),
        (bundle(MESH, 1, text="skerry: 1\n# other\n"), "two policies"),
    ],
    ids=["another mesh", "another site", "an older version", "the same place, another text"],
)
def test_a_policy_that_must_not_run_is_refused_before_the_node_sees_it(
    bench: Bench, offered: PolicyBundle, words: str
) -> None:
    bench.offer(bundle(MESH, 1))
    bench.offer(offered)
    assert bench.applied == [1]
    assert bench.on_disk() == 1
    assert words in bench.pipeline.state().error
    assert bench.pipeline.state().attempt_state == ATTEMPT_STATE_REJECTED


def test_an_answer_that_a_later_one_has_overtaken_is_no_refusal(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.offer(bundle(MESH, 1))

    def answer_late(uplink: InMemoryUplink, request: PullPolicyRequest) -> PolicyBundle:
        monkeypatch.undo()
        bench.twin.publish(bundle(MESH, 3))
        bench.duty.look()  # a nudge asks meanwhile, and gets the newest
        return bundle(MESH, 2)

    monkeypatch.setattr(InMemoryUplink, "pull_policy", answer_late)
    bench.duty.step()
    assert bench.applied == [1, 3]
    assert bench.pipeline.state().attempt_state == ATTEMPT_STATE_APPLIED
    assert bench.codes() == set()


def test_an_older_version_comes_back_with_a_higher_generation(bench: Bench) -> None:
    bench.offer(bundle(MESH, 5))
    bench.offer(bundle(MESH, 3, generation=2))
    assert bench.applied == [5, 3]


def test_a_node_that_fails_by_accident_tries_again(bench: Bench) -> None:
    bench.refuse[1] = RuntimeError("a mistake of ours")
    bench.offer(bundle(MESH, 1))
    assert bench.pipeline.state().attempt_state == ATTEMPT_STATE_APPLYING
    assert "RuntimeError" in bench.pipeline.state().error
    InMemoryUplink(bench.twin).report_status(ReportStatusRequest(boot_id="b", policy=bench.pipeline.state()))
    bench.refuse.clear()
    bench.duty.step()
    assert bench.applied == [1]


def test_a_refusal_is_followed_by_a_question_soon_and_a_repeated_offer_by_a_pause(bench: Bench) -> None:
    bench.refuse[1] = PolicyError("it does not compile")
    assert bench.offer(bundle(MESH, 1)) == 1.0
    assert bench.duty.step() == 60.0


def test_a_disk_that_does_not_take_the_policy_is_told_and_tried_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    bench.offer(bundle(MESH, 1))
    assert bench.applied == [1]
    assert bench.codes() == {"policy-not-saved"}
    monkeypatch.undo()
    bench.duty.step()
    assert bench.on_disk() == 1
    assert bench.codes() == set()


def test_the_policy_of_the_enrolment_is_tried_before_the_network(bench: Bench) -> None:
    bench.store.put_candidate(bundle(MESH, 4))
    bench.duty.step()
    assert bench.applied == [4]


def test_a_node_that_fell_back_takes_the_newest_again(bench: Bench) -> None:
    bench.offer(bundle(MESH, 1))
    bench.offer(bundle(MESH, 2))
    (bench.data_dir / "policy" / "active.bundle").write_bytes(b"damaged")
    bench.again()
    assert bench.codes() == {"policy-fallback"}
    bench.duty.step()
    assert bench.applied == [1, 2, 2]
    assert bench.on_disk() == 2
    assert bench.codes() == set()
