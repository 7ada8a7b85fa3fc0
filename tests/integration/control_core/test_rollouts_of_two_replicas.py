"""Two replicas drive one roll-out over real edges' wire, and one of them is killed: no step is lost or taken twice."""

from __future__ import annotations

import contextlib
import itertools
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import grpc
import httpx2
import pytest

from mesh.v1 import common_pb2, sync_pb2, sync_pb2_grpc
from tests.conftest import Figures
from tests.control_fixtures import GOOD_POLICY
from tests.node_box import Box, enrol_box
from tests.replica_pair import Pair, replica_pair
from tests.rollout_fleet import BAD, BAD_POLICY, NEXT_POLICY

BOXES = 4
WAIT_SECONDS = 5


@pytest.fixture
def pair(postgres_server: str, tmp_path: Path) -> Iterator[Pair]:
    with replica_pair(postgres_server, tmp_path) as both:
        yield both


class Edge(threading.Thread):
    """A node behind a load balancer that refuses what is bad; each try may reach another replica."""

    def __init__(self, box: Box, doors: Sequence[str]) -> None:
        super().__init__(daemon=True)
        credentials = grpc.ssl_channel_credentials(
            root_certificates=box.answer.ca_pem, private_key=box.key_pem, certificate_chain=box.answer.certificate_pem
        )
        self._tries = itertools.cycle(
            sync_pb2_grpc.EdgeSyncStub(grpc.secure_channel(one, credentials)) for one in doors
        )
        self.runs = common_pb2.PolicyVersion()
        self.got: list[tuple[int, int]] = []
        self.got_bad = 0
        self.stopped = threading.Event()

    def run(self) -> None:
        self._report(sync_pb2.PolicyStatus(active=self.runs))
        while not self.stopped.is_set():
            try:
                request = sync_pb2.PullPolicyRequest(have=self.runs, wait_seconds=WAIT_SECONDS)
                answer = next(self._tries).PullPolicy(request, timeout=WAIT_SECONDS + 5)
            except grpc.RpcError:
                self.stopped.wait(0.1)
                continue
            if answer.HasField("policy"):
                self._take(answer.policy)

    def _take(self, bundle: common_pb2.PolicyBundle) -> None:
        self.got.append((bundle.version.generation, bundle.version.version))
        state, error = sync_pb2.ATTEMPT_STATE_APPLIED, ""
        if BAD in bundle.document:
            self.got_bad += 1
            state, error = sync_pb2.ATTEMPT_STATE_REJECTED, "line 4: no such peer"
        else:
            self.runs = bundle.version
        self._report(sync_pb2.PolicyStatus(active=self.runs, attempt=bundle.version, attempt_state=state, error=error))

    def _report(self, status: sync_pb2.PolicyStatus) -> None:
        request = sync_pb2.ReportStatusRequest(boot_id="a", policy=status)
        while not self.stopped.is_set():
            with contextlib.suppress(grpc.RpcError):
                next(self._tries).ReportStatus(request, timeout=5)
                return
            self.stopped.wait(0.1)


@pytest.fixture
def edges(pair: Pair) -> Iterator[Sequence[Edge]]:
    api = pair.client(pair.second)
    api.post("/api/v1/sites", json={"name": "north"}).raise_for_status()
    made = [Edge(enrol_box(api, "north", f"box-{one}"), [pair.first.grpc, pair.second.grpc]) for one in range(BOXES)]
    yaml = {"Content-Type": "text/yaml"}
    api.post("/api/v1/sites/north/policies", content=GOOD_POLICY, headers=yaml).raise_for_status()
    api.post("/api/v1/sites/north/policies/1/publish").raise_for_status()
    for edge in made:
        edge.start()
    yield made
    for edge in made:
        edge.stopped.set()


def start(api: httpx2.Client, document: bytes) -> str:
    body = {"sites": ["north"], "document": document.decode(), "waves": ["1", "50%", "100%"], "soak_seconds": 1}
    return str(api.post("/api/v1/rollouts", json=body).raise_for_status().json()["id"])


def until(api: httpx2.Client, rollout_id: str, reached: Any, *, seconds: float = 60.0) -> dict[str, Any]:
    deadline = time.monotonic() + seconds
    while True:
        found: dict[str, Any] = api.get(f"/api/v1/rollouts/{rollout_id}").raise_for_status().json()
        if reached(found):
            return found
        assert time.monotonic() < deadline, found
        time.sleep(0.1)


@pytest.mark.timeout(150)
def test_a_replica_that_is_killed_costs_no_step_and_doubles_none(
    pair: Pair, edges: Sequence[Edge], figures: Figures
) -> None:
    api = pair.client(pair.second)
    while any((1, 1) not in edge.got for edge in edges):
        time.sleep(0.05)
    bad = start(api, BAD_POLICY)
    ended = until(api, bad, lambda found: found["state"] == "rolled_back")
    assert sum(edge.got_bad > 0 for edge in edges) == 1
    assert [one["happening"] for one in ended["steps"]] == ["begin", "gate failed", "all back"]
    good = start(api, NEXT_POLICY)
    until(api, good, lambda found: found["wave"] >= 2)
    pair.first.process.send_signal(signal.SIGKILL)
    ended = until(api, good, lambda found: found["state"] == "done")
    assert [one["turn"] for one in ended["steps"]] == list(range(1, 8))
    assert [one["happening"] for one in ended["steps"]] == [
        "begin", "all applied", "soaked", "all applied", "soaked", "all applied", "finished",
    ]  # fmt: skip
    [site] = ended["sites"]
    place = (site["generation"], site["version"])
    assert [edge.got.count(place) for edge in edges] == [1] * BOXES
    took = [one["at"] for one in ended["steps"]]
    figures(
        f"two replicas, one killed in wave 2 of 3: {len(took)} steps, none twice; {BOXES} edges took the policy once "
        f"each; a refused policy reached 1 of {BOXES}"
    )
