"""A node is killed at every step of applying a policy: a whole old or new one is left, and the node delivers."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from edge.buffer.view import BufferView
from edge.errors import UnknownInstance
from edge.sync.identity import save_identity
from mesh.v1.common_pb2 import PolicyBundle
from provisioning.local.edge import Edge
from tests.certificates import MeshAuthority
from tests.conftest import Figures
from tests.control_twin import ControlTwin, GrpcControl
from tests.edge_processes import hit, wait_all_serve
from tests.edge_samples import data_set
from tests.policy_kills import WAYS, Box
from tests.scu import association, store
from tests.signed_policies import bundle

MESH = MeshAuthority()
POLICY = """\
skerry: 1
destinations:
  - {{name: archive-{version}, kind: folder, path: {folder}/{version}}}
routes:
  - {{name: everything, to: [archive-{version}]}}
"""
BAD = """\
skerry: 1
destinations:
  - {{name: archive-2, kind: folder, path: {folder}/2, transforms: [nobody]}}
transforms:
  - {{name: nobody, steps: [map: {{tag: PatientID, table: {{X: "Y"}}}}]}}
routes:
  - {{name: everything, to: [archive-2]}}
"""
ALLOWED = {
    # What is active, and whether on probation, in the order in which it may change.
    "committed": [(1, False), (2, True), (2, False)],
    "taken_back": [(1, False), (2, True), (1, False)],
    "overtaken": [(1, False), (2, True), (1, False), (3, True), (3, False)],
    "dies_of_it": [(1, False), (2, True), (1, False)],
}


@dataclass(frozen=True, kw_only=True)
class Left:
    """What a kill left."""

    way: str
    step: int
    died: bool
    data_dir: Path

    def copied(self, folder: Path) -> Box:
        """A start in a copy of it."""
        shutil.copytree(self.data_dir, folder)
        return Box(folder, MESH.policy_public_key)

    def active(self) -> bytes:
        """The active policy as it lies there."""
        return (self.data_dir / "policy" / "active.bundle").read_bytes()

    def state(self) -> str:
        """Names what lies in the folder: equal for equal folders."""
        found = sorted((one.name, one.stat().st_size) for one in (self.data_dir / "policy").iterdir())
        return hashlib.sha256(repr((found, self.active())).encode()).hexdigest()


def bundle_of(version: int, data_dir: Path) -> PolicyBundle:
    """One of the prepared policies."""
    return PolicyBundle.FromString((data_dir / "offers" / str(version)).read_bytes())


def prepared(folder: Path, archive: Path) -> Path:
    """A node's data with policy 1 committed, and what the centre will offer."""
    (folder / "offers").mkdir(parents=True)
    for version in (1, 2, 3):
        (archive / str(version)).mkdir(parents=True, exist_ok=True)
        text = POLICY.format(version=version, folder=archive)
        (folder / "offers" / str(version)).write_bytes(bundle(MESH, version, text=text).SerializeToString())
    box = Box(folder, MESH.policy_public_key)
    box.offer(1)
    box.watch()
    return folder


def found(box: Box) -> tuple[int, bool]:
    """The active policy as a start finds it, and whether it is on probation."""
    stored = box.store().load()
    assert stored is not None, "no policy at all"
    assert stored.passed_over == (), "a policy that is not whole"
    assert stored.bundle == bundle_of(stored.bundle.version.version, box.data_dir)
    assert box.pipeline.running == stored.bundle
    return stored.bundle.version.version, box.store().on_probation() is not None


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("archive")


@pytest.fixture(scope="module")
def left(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Left]:
    """Every state that a kill can leave."""
    base, killed = prepared(tmp_path_factory.mktemp("base"), archive), tmp_path_factory.mktemp("killed")
    argv = [sys.executable, "-m", "tests.policy_kills", str(base), str(killed), MESH.policy_public_key.hex()]
    said = subprocess.run(argv, check=True, capture_output=True, text=True, timeout=120)
    lines = [line for line in said.stdout.splitlines() if line.startswith("{")]  # the others are the log's
    return [Left(**{**facts, "data_dir": Path(facts["data_dir"])}) for facts in map(json.loads, lines)]


def test_a_kill_at_any_step_leaves_a_whole_old_or_a_whole_new_policy_and_the_next_one_is_taken(
    left: Sequence[Left], tmp_path: Path, figures: Figures
) -> None:
    for way in WAYS:
        boxes = [one.copied(tmp_path / f"{way}-{one.step}") for one in left if one.way == way]
        seen = [found(box) for box in boxes]
        assert [state for state, _ in itertools.groupby(seen)] == ALLOWED[way], (way, seen)
        for box in boxes:
            box.offer(3)
            box.watch()
            state = box.pipeline.state()
            assert (state.active.version, state.stage) == (3, "committed"), box.data_dir
    kills = sum(one.died for one in left)
    assert kills > 60
    figures(f"policy: killed at each of {kills} durable steps of apply, {len(WAYS)} ways, mixtures 0, next one taken")


def until(what: Callable[[], object], seconds: float = 30.0) -> None:
    """Wait for something to become true."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def deliveries(view: BufferView, uid: str) -> list[dict[str, Any]]:
    """Those of one image; none while its row is not there."""
    try:
        (story,) = view.trace(uid)
    except UnknownInstance:
        return []
    found: list[dict[str, Any]] = story["deliveries"]
    return found


def delivers(edge: Edge, archive: Path, uid: str) -> int:
    """Hand an image to a node that runs: the version of the policy that decided, and where it went, are the same."""
    before = {version: len(list((archive / str(version)).rglob("*.dcm"))) for version in (1, 2, 3)}
    with association(edge.dicom_port) as peer:
        assert store(peer, uid, data_set(uid)) == 0x0000
    view = BufferView(edge.data_dir)
    until(lambda: [one["state"] for one in deliveries(view, uid)] == ["delivered"])
    (story,) = view.trace(uid)
    view.close()
    version = int(story["policy"].partition(".")[2])
    assert [one["destination"] for one in story["deliveries"]] == [f"archive-{version}"]
    assert len(list((archive / str(version)).rglob("*.dcm"))) == before[version] + 1
    return version


def test_what_a_kill_leaves_starts_and_delivers(left: Sequence[Left], archive: Path, figures: Figures) -> None:
    kinds = {one.state(): one for one in left if one.died and one.way in ("committed", "taken_back")}
    # `make soak` starts all of them.
    chosen = list(
        (kinds if "SKERRY_SOAK" in os.environ else {(one.way, one.active()): one for one in kinds.values()}).values()
    )
    ran = []
    for number, one in enumerate(chosen):
        save_identity(one.data_dir, MESH.identity())  # a centre that does not answer
        with Edge(one.data_dir, name=f"{one.way}-{one.step}", env={"SKERRY_EDGE_PROBATION_SECONDS": "60"}) as edge:
            ran.append(delivers(edge, archive, f"1.2.3.{number}"))
            assert not {"policy-fallback", "no-policy"} & {held["code"] for held in edge.facts()["conditions"]}
    assert set(ran) == {1, 2}
    figures(f"policy: {len(chosen)} of {len(kinds)} kinds of what a kill leaves started by a real node, all delivered")


def test_a_node_that_is_killed_on_probation_goes_on_with_it_and_goes_back_when_it_does_harm(
    tmp_path: Path, figures: Figures
) -> None:
    """The whole way through real processes: publish, kill, start, harm, the policy before, the word to the centre."""
    twin = ControlTwin(MESH)
    server = GrpcControl(twin)
    data_dir = prepared(tmp_path / "node", tmp_path / "archive")
    save_identity(data_dir, MESH.identity(grpc_endpoint=server.endpoint))
    bad = BAD.format(folder=tmp_path / "archive")
    edge = Edge(data_dir, env={"SKERRY_EDGE_PROBATION_SECONDS": "300"})
    try:
        with edge:
            assert delivers(edge, tmp_path / "archive", "1.2.1") == 1
            twin.publish(bundle(MESH, 2, text=bad))
            until(lambda: twin.statuses[-1].policy.stage == "on_probation")
            edge.kill()
            edge.start()
            until(lambda: edge.facts()["policy"] == "1.2")
            with association(edge.dicom_port) as peer:
                for number in range(12):
                    store(peer, f"1.2.2.{number}", data_set(f"1.2.2.{number}"), message_id=number + 1)
            until(lambda: twin.statuses[-1].policy.stage == "rolled_back")
            told = twin.statuses[-1].policy
            assert (told.active.version, told.attempt.version, told.code) == (1, 2, "quarantined")
            assert "policy-rolled-back" in {held["code"] for held in edge.facts()["conditions"]}
            assert delivers(edge, tmp_path / "archive", "1.2.4") == 1
            figures(f"policy: real node killed on probation, then harm: {told.error}")
    finally:
        server.stop()


def test_a_node_whose_core_dies_again_and_again_on_probation_goes_back_by_itself(tmp_path: Path) -> None:
    data_dir = prepared(tmp_path / "node", tmp_path / "archive")
    save_identity(data_dir, MESH.identity())  # a centre that does not answer: nobody tells it to
    box = Box(data_dir, MESH.policy_public_key)
    box.offer(2)
    with Edge(data_dir, env={"SKERRY_EDGE_PROBATION_SECONDS": "300"}) as edge:
        assert edge.facts()["policy"] == "1.2"
        for ended in (1, 2):
            assert hit(edge, "core")
            wait_all_serve(edge, ended=ended)
        until(lambda: edge.facts()["policy"] == "1.1")
        (held,) = [one for one in edge.facts()["conditions"] if one["code"] == "policy-rolled-back"]
        assert held["text"].startswith("Policy 1.2 from the control plane was taken back: The node's core had to be")
        assert delivers(edge, tmp_path / "archive", "1.2.4") == 1
