"""The row of the catch-up: twenty sites push what an outage kept back, and live events of other sites go on.

An instance is two events, its reception and its delivery. The batches are those of a node: 500 events, as bytes of the
wire; what is timed begins with reading them and ends with the ack of a durable commit. The line and its TLS are left
out: an association for each node is the same at any rate.
"""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import random
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier

from control.clock import utcnow
from control.db.session import open_database
from control.inbox.batch import Sender
from control.inbox.service import InboxService
from mesh.v1 import sync_pb2
from tests.bench.arena import Arena
from tests.bench.mesh_database import MeshDatabase, mesh_database
from tests.bench.results import Bound, Line
from tests.mesh_events import batch, changed, received

_SITES = 20
_OBJECTS_IN_A_BATCH = 250
_OBJECTS_IN_A_STUDY = 80
_LIVE_PAUSE_SECONDS = 0.5
_PATIENCE_SECONDS = 600.0


@dataclass(slots=True, kw_only=True)
class _Seen:
    instances: int = 0
    seconds: float = 0.0
    python: float = 0.0
    postgres: float = 0.0
    live: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        return self.instances / self.seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Backfill:
    """One row of three lines."""

    replicas: int = 1
    """Processes, each with its share of the sites."""
    needs: tuple[tuple[str, str], ...] = ()

    @property
    def name(self) -> str:
        """As `--rows` takes it."""
        return "control.backfill" if self.replicas == 1 else f"control.backfill.replicas-{self.replicas}"

    def measure(self, arena: Arena) -> Iterator[Line]:
        """Make the batches, then let all sites push at once."""
        batches = max(1, arena.scaled(200_000) // (_SITES * _OBJECTS_IN_A_BATCH))
        with mesh_database() as database:
            arena.say(f"  making {batches} batches for each of {_SITES} sites")
            seen = _push_all(database, self.replicas, batches)
        cpu: dict[str, float] = {
            "python_seconds_per_1000": seen.python / seen.instances * 1000,
            "postgres_seconds_per_1000": seen.postgres / seen.instances * 1000,
        }
        yield Line(
            name=self.name,
            unit="/s",
            ours=(seen.rate,),
            bound=Bound(sense=">=", value=15_000, unit="/s"),
            details={"instances": seen.instances, **cpu},
        )
        per_core = 1000 / sum(cpu.values())
        yield Line(name=f"{self.name}.each-core", unit="/s", ours=(per_core,), details={**cpu})
        yield Line(
            name=f"{self.name}.live-p95",
            unit="ms",
            ours=(statistics.quantiles(seen.live, n=20)[-1] * 1000,),
            bound=Bound(sense="<", value=500, unit="ms"),
            details={"events": len(seen.live), "worst_ms": max(seen.live) * 1000},
        )


def _push_all(database: MeshDatabase, replicas: int, batches: int) -> _Seen:
    """All sites at once, from the moment when every replica is ready to the end of the last one."""
    context = multiprocessing.get_context("spawn")
    ready, answers = context.Barrier(replicas + 1), context.Queue()
    started = [
        context.Process(target=_replica, args=(database.url, range(own, _SITES, replicas), batches, ready, answers))
        for own in range(replicas)
    ]
    for one in started:
        one.start()
    ready.wait(_PATIENCE_SECONDS)
    postgres, began = database.cpu_seconds(), time.perf_counter()
    parts: list[_Seen] = [answers.get(timeout=_PATIENCE_SECONDS) for _ in started]
    seen = _Seen(seconds=time.perf_counter() - began, postgres=database.cpu_seconds() - postgres)
    for one in started:
        one.join()
    for part in parts:
        seen.instances += part.instances
        seen.python += part.python
        seen.live += part.live
    return seen


def _replica(url: str, sites: range, batches: int, ready: Barrier, answers: Queue[_Seen]) -> None:
    answers.put(asyncio.run(_push(url, {site: _batches(site, batches) for site in sites}, ready)))


def _batches(site: int, count: int) -> Sequence[bytes]:
    """What one node has kept back, as it goes over the wire."""
    dice = random.Random(site)
    made = []
    for first in range(0, count * _OBJECTS_IN_A_BATCH, _OBJECTS_IN_A_BATCH):
        numbers = range(first, first + _OBJECTS_IN_A_BATCH)
        events = [event for number in numbers for event in _events(dice, site, number)]
        made.append(batch(events, epoch=site + 1).SerializeToString())
    return made


def _events(dice: random.Random, site: int, number: int) -> tuple[sync_pb2.Event, sync_pb2.Event]:
    count = number // _OBJECTS_IN_A_STUDY
    study = f"1.2.826.0.1.3680043.8.{site}.{count}.20261120"
    tags = {
        "PatientID": f"P-{site}-{count}", "PatientName": f"DOE{site}^JANE", "Modality": "CT",
        "StudyDate": "20261120", "AccessionNumber": f"A-{site}-{count}", "StudyDescription": "CT head native",
        "InstanceNumber": str(number), "Manufacturer": "ACME",
    }  # fmt: skip
    own = {"instance_id": f"{dice.getrandbits(128):032x}", "sop_instance_uid": f"{study}.1.{number}"}
    first = received(2 * number + 1, 0, study=study, tags=tags, **own)
    second = changed(2 * number + 2, 0, "delivered", study=study, attempts=1, sop_instance_uid=own["sop_instance_uid"])
    second.delivery_changed.instance_id = own["instance_id"]
    return first, second


async def _push(url: str, work: Mapping[int, Sequence[bytes]], ready: Barrier) -> _Seen:
    database = open_database(url)
    inbox = InboxService(database, utcnow)
    await inbox.push(Sender(node_id=f"warm-{min(work)}", site="warm"), batch([received(1)]))
    gc.collect()
    gc.freeze()  # the batches of the bench itself
    seen = _Seen(instances=sum(map(len, work.values())) * _OBJECTS_IN_A_BATCH)
    ready.wait(_PATIENCE_SECONDS)
    live = [asyncio.create_task(_live(inbox, site, seen.live)) for site in work]
    python = time.process_time()
    await asyncio.gather(*(_catch_up(inbox, site, batches) for site, batches in work.items()))
    seen.python = time.process_time() - python
    for one in live:
        one.cancel()
    await asyncio.gather(*live, return_exceptions=True)
    await database.close()
    return seen


async def _catch_up(inbox: InboxService, site: int, batches: Sequence[bytes]) -> None:
    sender = Sender(node_id=f"{site:032x}", site=f"site-{site}")
    for one in batches:
        await inbox.push(sender, sync_pb2.PushBatchRequest.FromString(one))


async def _live(inbox: InboxService, site: int, seconds: list[float]) -> None:
    """A site that keeps up: one image at a time."""
    sender = Sender(node_id=f"{site + 1000:032x}", site=f"live-{site}")
    await asyncio.sleep(site / _SITES * _LIVE_PAUSE_SECONDS)
    for number in range(1, 1_000_000):
        event = received(number, study=f"2.{site}.{number // _OBJECTS_IN_A_STUDY}")
        began = time.perf_counter()
        await inbox.push(sender, batch([event]))
        seconds.append(time.perf_counter() - began)
        await asyncio.sleep(_LIVE_PAUSE_SECONDS)
