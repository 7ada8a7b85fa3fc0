"""Two control planes on one database, and one of them killed: no batch is lost or counted twice, watchers go on."""

from __future__ import annotations

import itertools
import json
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.typing import Origin

from mesh.v1 import sync_pb2_grpc
from tests.conftest import Figures
from tests.control_fixtures import RunningControl
from tests.mesh_events import batch, received
from tests.node_box import Box, enrol_box
from tests.replica_pair import Pair, replica_pair

BOXES, BATCHES, IN_A_BATCH = 3, 30, 5
SECONDS = 10.0


@pytest.fixture
def pair(postgres_server: str, tmp_path: Path) -> Iterator[Pair]:
    with replica_pair(postgres_server, tmp_path) as both:
        yield both


class Pusher(threading.Thread):
    """A node behind a load balancer: each try may reach another replica; what was not acknowledged is sent again."""

    def __init__(self, box: Box, study: str, doors: Sequence[str]) -> None:
        super().__init__(daemon=True)
        self.study, self.acknowledged, self.repeated = study, 0, 0
        credentials = grpc.ssl_channel_credentials(
            root_certificates=box.answer.ca_pem,
            private_key=box.key_pem,
            certificate_chain=box.answer.certificate_pem,
        )
        self._stubs = [sync_pb2_grpc.EdgeSyncStub(grpc.secure_channel(door, credentials)) for door in doors]

    def run(self) -> None:
        tries = itertools.cycle(self._stubs)
        for number in range(BATCHES):
            first = number * IN_A_BATCH + 1
            events = [received(sequence, study=self.study) for sequence in range(first, first + IN_A_BATCH)]
            for stub in tries:
                try:
                    self.acknowledged = stub.PushBatch(batch(events), timeout=SECONDS).ack_sequence
                    break
                except grpc.RpcError:
                    self.repeated += 1
                    time.sleep(0.05)


@dataclass
class Watcher:
    """A screen: what it was told, and where it goes on."""

    cookie: str
    lines: dict[int, int] = field(default_factory=dict)
    """Sequence -> objects received."""
    twice: int = 0
    refetches: int = 0

    def watch(self, replica: RunningControl, *, until: int | None = None) -> None:
        """Until the connection ends, or so many objects were told of."""
        after = f"?after={max(self.lines)}" if self.lines else "?after=0"
        url = f"ws://{replica.http}/api/v1/live{after}"
        headers = {"Cookie": self.cookie}
        try:
            with connect(url, additional_headers=headers, origin=Origin(f"http://{replica.http}")) as socket:
                while until is None or sum(self.lines.values()) < until:
                    self._hear(json.loads(socket.recv(timeout=30)))
        except (ConnectionClosed, OSError):
            return

    def _hear(self, said: dict[str, object]) -> None:
        if said["type"] == "refetch":
            self.refetches += 1
        if said.get("kind") == "study_changed" and isinstance(said["body"], dict):
            sequence = int(str(said["sequence"]))
            self.twice += sequence in self.lines
            self.lines[sequence] = int(said["body"].get("received", 0))


@pytest.mark.timeout(120)
def test_a_replica_that_is_killed_costs_no_batch_and_no_line_of_the_feed(pair: Pair, figures: Figures) -> None:
    api = pair.client(pair.second)
    pushers = []
    for number in range(BOXES):
        site = f"site-{number}"
        api.post("/api/v1/sites", json={"name": site}).raise_for_status()
        box = enrol_box(api, site, "box")
        pushers.append(Pusher(box, f"1.2.{number}", [pair.first.grpc, pair.second.grpc]))
    session = pair.client(pair.first)
    watcher = Watcher(cookie="; ".join(f"{name}={value}" for name, value in session.cookies.items()))
    watching = threading.Thread(target=watcher.watch, args=(pair.first,))
    watching.start()
    for pusher in pushers:
        pusher.start()
    while min(pusher.acknowledged for pusher in pushers) < BATCHES * IN_A_BATCH // 3:
        time.sleep(0.01)
    pair.first.process.send_signal(signal.SIGKILL)
    watching.join(30)
    seen_before = sum(watcher.lines.values())
    total = BOXES * BATCHES * IN_A_BATCH
    watcher.watch(pair.second, until=total)
    for pusher in pushers:
        pusher.join(60)
    assert [pusher.acknowledged for pusher in pushers] == [BATCHES * IN_A_BATCH] * BOXES
    found = api.get("/api/v1/studies", params={"limit": 100}).raise_for_status().json()["items"]
    assert sorted((one["study_instance_uid"], one["received"]) for one in found) == [
        (pusher.study, BATCHES * IN_A_BATCH) for pusher in pushers
    ]
    assert 0 < seen_before < total, "the kill came while the screen was watching"
    assert (sum(watcher.lines.values()), watcher.twice, watcher.refetches) == (total, 0, 0)
    repeated = sum(pusher.repeated for pusher in pushers)
    figures(
        f"two replicas, one killed: {total} of {total} objects, {repeated} batches sent again, "
        f"feed {seen_before} before and {total - seen_before} after, none twice"
    )
