"""The row of the search: every field alone, a trace and the fleet page over ten million instances."""

from __future__ import annotations

import asyncio
import functools
import random
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psycopg

from control.clock import utcnow
from control.db.session import Database, open_database
from control.enrolment.ca_files import load_or_create
from control.enrolment.service import Endpoints
from control.filters.parser import read_filter
from control.fleet.heard import AgeService
from control.overview.service import FleetService
from control.services import build_core
from control.studies.query import StudyQuery
from control.studies.receptions import ReceptionQuery
from control.studies.schemas import StudyPage, StudyTrace
from control.studies.service import StudyService
from tests.bench.archive import SITES, fill
from tests.bench.arena import Arena
from tests.bench.mesh_database import MeshDatabase, mesh_database
from tests.bench.results import Bound, Line

_TIMES = 40
_MORE = frozenset({"name-inside"})
"""Without a bound: a wildcard in front has no index and reads every study."""
_MODALITIES = ("CR", "DX", "US", "MR", "CT")
Ask = Callable[[random.Random, int], str]

FILTERS: Mapping[str, Ask] = {
    "patient-id": lambda dice, _: f"PatientID = P{dice.randrange(120_000):07}",
    "patient-id-beginning": lambda dice, _: f"PatientID = P{dice.randrange(1200):05}*",
    "issuer": lambda dice, _: f"IssuerOfPatientID = HOSPITAL{dice.randrange(3)}",
    "name": lambda dice, _: f"PatientName = 'evans{dice.randrange(997)}^*'",
    "name-inside": lambda dice, _: f"PatientName = '*{dice.randrange(100, 997)}^d*'",
    "birth-date": lambda dice, _: f"PatientBirthDate = 19{dice.randrange(10, 99)}-06-15",
    "accession": lambda dice, studies: f"AccessionNumber = A{dice.randrange(1, studies):09}",
    "study-uid": lambda dice, studies: f"StudyInstanceUID = {_uid(dice, studies)}",
    "series-uid": lambda dice, studies: f"SeriesInstanceUID = {_uid(dice, studies)}.1",
    "sop-uid": lambda dice, studies: f"SOPInstanceUID = {_uid(dice, studies)}.2.1",
    "modality": lambda dice, _: f"Modality = {dice.choice(_MODALITIES)}",
    "study-date": lambda dice, _: f"StudyDate = 2025-{dice.randrange(1, 13):02}-{dice.randrange(1, 28):02}",
    "study-date-before": lambda dice, _: f"StudyDate < 2024-{dice.randrange(1, 13):02}",
    "received-at": lambda dice, _: f"ReceivedAt = 2025-{dice.randrange(1, 13):02}-{dice.randrange(1, 28):02}",
    "calling": lambda dice, _: f"CallingAETitle = {dice.choice(_MODALITIES)}{dice.randrange(40)}",
    "called": lambda _dice, _: "CalledAETitle = SKERRY",
    "called-nobody": lambda _dice, _: "CalledAETitle = NOBODY",
    "site": lambda dice, _: f"Site = site-{dice.randrange(SITES):03}",
    "state-parked": lambda _dice, _: "State = parked",
    "state-waiting": lambda _dice, _: "State = waiting",
    "state-delivered": lambda _dice, _: "State = delivered",
    "state-unrouted": lambda _dice, _: "State = unrouted",
    "state-superseded": lambda _dice, _: "State = superseded",
    "text": lambda dice, _: f"Text = 'clark{dice.randrange(997)}'",
    "everything": lambda _dice, _: "",
}
"""Name of a line -> a question, other values each time."""


def _uid(dice: random.Random, studies: int) -> str:
    return f"1.2.826.0.1.3680043.10.{dice.randrange(1, studies)}.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What one question took."""

    seconds: list[float]
    cpu_ms: float
    """Of this process and of PostgreSQL together, on average: what neighbours on the machine do not change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """One row of many lines."""

    name: str = "control.search"
    needs: tuple[tuple[str, str], ...] = ()

    def measure(self, arena: Arena) -> Iterator[Line]:
        """Fill, then ask."""
        with mesh_database() as database:
            arena.say("  filling the database, which takes minutes")
            began = time.perf_counter()
            instances = fill(database.url, arena.scaled(10_000_000), arena.say)
            details: dict[str, object] = {"instances": instances, "fill_seconds": time.perf_counter() - began}
            details |= _sizes(database.url)
            for name, taken in asyncio.run(ask_all(database)).items():
                yield _line(f"{self.name}.{name}", taken, name, details)


def _line(name: str, taken: Taken, what: str, details: dict[str, object]) -> Line:
    most = 50 if what == "fleet" else 100
    more = {"p50_ms": statistics.median(taken.seconds) * 1000, "worst_ms": max(taken.seconds) * 1000}
    return Line(
        name=name,
        unit="ms p95",
        ours=(statistics.quantiles(taken.seconds, n=20)[-1] * 1000,),
        bound=None if what in _MORE else Bound(sense="<", value=most, unit="ms"),
        details=details | more | {"cpu_ms": taken.cpu_ms},
    )


def _sizes(url: str) -> dict[str, object]:
    with psycopg.connect(url) as connection:
        found = connection.execute("SELECT pg_database_size(current_database()), count(*) FROM study").fetchone()
    assert found is not None
    return {"database_bytes": found[0], "studies": found[1]}


async def ask_all(where: MeshDatabase) -> dict[str, Taken]:
    """Every question, forty times each."""
    database = open_database(where.url)
    studies = StudyService(database, AgeService(utcnow))
    fleet = _fleet_service(database)
    count = int(str(_sizes(where.url)["studies"]))
    dice = random.Random(5)
    asked: dict[str, Callable[[], Awaitable[object]]] = {
        name: functools.partial(_search, studies, ask, dice, count) for name, ask in FILTERS.items()
    }
    asked["trace"] = lambda: _trace(studies, _uid(dice, count))
    asked["fleet"] = lambda: fleet.page(after="", limit=100)
    taken = {name: await _timed(where, ask) for name, ask in asked.items()}
    await database.close()
    return taken


async def _timed(where: MeshDatabase, ask: Callable[[], Awaitable[object]]) -> Taken:
    await ask()
    cpu, seconds = where.cpu_seconds() + time.process_time(), []
    for _ in range(_TIMES):
        began = time.perf_counter()
        await ask()
        seconds.append(time.perf_counter() - began)
    return Taken(seconds=seconds, cpu_ms=(where.cpu_seconds() + time.process_time() - cpu) / _TIMES * 1000)


def _fleet_service(database: Database) -> FleetService:
    with tempfile.TemporaryDirectory() as folder:
        keys = load_or_create(Path(folder) / "ca", None, utcnow())
    core = build_core(database, keys, Endpoints(https="127.0.0.1:1", grpc="127.0.0.1:2"), utcnow)
    return core.provisions.get(FleetService)


async def _search(studies: StudyService, ask: Ask, dice: random.Random, count: int) -> str:
    """A page as the API answers it, without the line."""
    asked = ask(dice, count)
    query = StudyQuery(filter=read_filter(asked) if asked else None, limit=100)
    items, _, heard = await studies.search(query)
    return StudyPage(items=list(items), sites_heard=heard).model_dump_json()


async def _trace(studies: StudyService, uid: str) -> str:
    study, items, _, heard = await studies.trace(ReceptionQuery(study_instance_uid=uid, limit=1000), uid)
    return StudyTrace(study=study, instances=items, sites_heard=heard).model_dump_json()
