"""The rows of the fleet: a thousand simulated edges at one control plane, with PostgreSQL and the broker.

Everything shares this machine, so the CPU seconds of each part stand in the details: the fleet's own are as many as
those of the control plane, and its edges would be on other machines.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provisioning.local.command import own_script, run
from provisioning.local.control import Control
from provisioning.local.mosquitto import Mosquitto
from provisioning.local.ports import free_port
from tests.bench.arena import Arena
from tests.bench.footprint import footprint
from tests.bench.mesh_database import MeshDatabase, mesh_database
from tests.bench.results import Bound, Line

_BOXES_OF_A_SITE = 2
_JOIN_SECONDS = 900.0
_RUN_SECONDS = 400.0
_NEEDS = (("mosquitto", "mosquitto"),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Centre:
    """A control plane, its broker, its database, and a fleet that was enrolled."""

    folder: Path
    control: Control
    broker: Mosquitto
    database: MeshDatabase | None
    """None: the embedded one."""

    def fleet(self, *words: str, seconds: float = _RUN_SECONDS) -> str:
        """What `skerry-fleet` prints."""
        where = ("--url", self.control.url, "--password-file", str(self.control.password_file))
        argv = [own_script("skerry-fleet"), words[0], "--folder", str(self.folder / "fleet"), *where, *words[1:]]
        return run(argv, seconds=seconds)

    def timed(self, *words: str) -> dict[str, Any]:
        """What it prints as JSON, with the CPU seconds of each part and the load of the machine."""
        before = self._cpu_seconds()
        found: dict[str, Any] = json.loads(self.fleet(*words, "--json"))
        used = {name: round(after - before[name], 2) for name, after in self._cpu_seconds().items()}
        return {**found, "cpu": used | {"fleet": round(found.pop("cpu_seconds"), 2)}, "load": os.getloadavg()}

    def _cpu_seconds(self) -> dict[str, float]:
        used = {
            "control": footprint(self.control.pid).cpu_seconds,
            "broker": footprint(self.broker.pid).cpu_seconds,
        }
        return used | ({"postgres": self.database.cpu_seconds()} if self.database else {})


@contextmanager
def centre(folder: Path, *, boxes: int, sites: int, embedded: bool = False) -> Iterator[Centre]:
    """One with so many boxes at so many sites."""
    with ExitStack() as stack:
        database = None if embedded else stack.enter_context(mesh_database())
        url_file = folder / "url" if database else None
        if database:
            (folder / "url").write_text(database.url)
        port = free_port()
        control = stack.enter_context(
            Control(folder / "control", mqtt_port=port, database_url_file=url_file, log_dir=folder / "log")
        )
        certificates = folder / "broker" / "certificates"
        control.issue_broker_certificate(certificates)
        broker = stack.enter_context(
            Mosquitto(folder / "broker", certificates=certificates, port=port, log_dir=folder / "log")
        )
        made = Centre(folder=folder, control=control, broker=broker, database=database)
        made.fleet("join", "--boxes", str(boxes), "--sites", str(sites), seconds=_JOIN_SECONDS)
        yield made


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetPublish:
    """From the end of a publication at every site until 99 % of the fleet run it."""

    boxes: int = 1000
    embedded: bool = False
    """With SQLite."""
    needs: tuple[tuple[str, str], ...] = _NEEDS

    @property
    def name(self) -> str:
        """As `--rows` takes it."""
        return "fleet.publish.embedded" if self.embedded else "fleet.publish"

    def measure(self, arena: Arena) -> Iterator[Line]:
        """Some publications with the broker, then without."""
        boxes = arena.scaled(self.boxes, least=20)
        rounds = ("--rounds", str(arena.pairs))
        with (
            arena.fresh_folder() as folder,
            centre(folder, boxes=boxes, sites=_sites(boxes), embedded=self.embedded) as made,
        ):
            for name, seconds, words in ((self.name, 3.0, ()), (f"{self.name}.without-broker", 35.0, ("--no-broker",))):
                found = made.timed("publish", *rounds, *words)
                took = tuple(one["p99"] for one in found["rounds"])
                yield _line(name, took, Bound(sense="<", value=seconds, unit="s"), found)


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetReconnect:
    """Every line is cut at once: how long until the centre sees all again, and the errors that edges saw meanwhile."""

    boxes: int = 3000
    name: str = "fleet.reconnect"
    needs: tuple[tuple[str, str], ...] = _NEEDS

    def measure(self, arena: Arena) -> Iterator[Line]:
        """Once: it is long."""
        boxes = arena.scaled(self.boxes, least=20)
        with arena.fresh_folder() as folder, centre(folder, boxes=boxes, sites=_sites(boxes)) as made:
            found = made.timed("reconnect")
        yield _line(self.name, (found["present_seconds"],), Bound(sense="<", value=60, unit="s"), found)
        errors = float(sum(found["errors"].values()))
        yield _line(f"{self.name}.errors", (errors,), Bound(sense="<=", value=0, unit="errors"), found)


def _sites(boxes: int) -> int:
    return max(1, min(20, boxes // _BOXES_OF_A_SITE))


def _line(name: str, ours: tuple[float, ...], bound: Bound, found: dict[str, Any]) -> Line:
    unit = bound.unit if bound.unit != "errors" else "errors"
    return Line(name=name, unit=unit, ours=ours, bound=bound, details=found)
