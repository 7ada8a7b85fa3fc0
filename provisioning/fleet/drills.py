"""What a whole fleet is measured by: a policy that is published, and a cut of every line at once."""

from __future__ import annotations

import asyncio
import resource
import time
from collections.abc import Callable
from typing import Any

from provisioning.errors import ProvisioningError
from provisioning.fleet.crew import Crew
from provisioning.local.control_api import ControlApi

LONGEST_SECONDS = 180.0
LOOK_SECONDS = 1.0


async def publish(api: ControlApi, crew: Crew, sites: list[str], rounds: int, *, broker: bool) -> dict[str, Any]:
    """How long it takes from the end of a publication until the fleet runs it, so often.

    Raises:
        ProvisioningError: it takes too long.
    """
    limit = 60.0 if broker else 90.0
    taken = []
    async with crew.aboard():
        took = await _connected(crew, broker=broker)
        for number in range(rounds):
            uploaded = await asyncio.to_thread(_upload, api, sites, number)
            since = time.monotonic()
            version = await asyncio.to_thread(_publish_all, api, uploaded)
            seen = {
                name: await crew.wait(share, version, since, seconds=limit)
                for name, share in (("p50", 0.5), ("p99", 0.99), ("all", 1.0))
            }
            if None in seen.values():
                raise ProvisioningError(f"after {limit:g} s not all boxes run {version}: {crew.facts()}")
            taken.append(seen)
        return {"sites": len(sites), "connect_seconds": took, "rounds": taken, **_end(crew)}


async def reconnect(api: ControlApi, crew: Crew, *, broker: bool) -> dict[str, Any]:
    """How long it takes after a cut of all lines until every box spoke again and the centre shows each as present.

    Raises:
        ProvisioningError: it takes too long.
    """
    async with crew.aboard():
        took = await _connected(crew, broker=broker)
        await _until_seen(api, crew, broker=broker)
        first_errors = dict(crew.ledger.errors)
    crew.ledger.errors.clear()
    since, cpu = time.monotonic(), _cpu_seconds()
    async with crew.aboard():
        spoke = await _connected(crew, broker=broker)
        await _until_seen(api, crew, broker=broker)
        return {
            "connect_seconds": took,
            "connect_errors": first_errors,
            "spoke_seconds": spoke,
            "present_seconds": time.monotonic() - since,
            "storm_cpu_seconds": _cpu_seconds() - cpu,
            **_end(crew),
        }


def _end(crew: Crew) -> dict[str, Any]:
    return {**crew.facts(), "cpu_seconds": _cpu_seconds()}


def _cpu_seconds() -> float:
    """What this process has used."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def _connected(crew: Crew, *, broker: bool) -> float:
    began = time.monotonic()
    await _until(lambda: len(crew.ledger.spoke) == len(crew), "all boxes to speak")
    if broker:
        await _until(lambda: len(crew.ledger.present) == len(crew), "all boxes at the broker")
    return time.monotonic() - began


async def _until_seen(api: ControlApi, crew: Crew, *, broker: bool) -> None:
    """Return when the centre shows every box as online, by the broker's word too."""
    wanted, seen = set(crew.node_ids), set[str]()
    deadline = time.monotonic() + LONGEST_SECONDS
    while not wanted <= seen:
        if time.monotonic() > deadline:
            raise ProvisioningError(f"the centre still misses {len(wanted - seen)} boxes: {crew.facts()}")
        sites = await asyncio.to_thread(lambda: list(api.every("/fleet")))
        seen = {
            node["id"]
            for site in sites
            for node in site["nodes"]
            if node["state"] == "online" and (not broker or node["presence"] == "online")
        }
        if not wanted <= seen:
            await asyncio.sleep(LOOK_SECONDS)


async def _until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + LONGEST_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise ProvisioningError(f"waited {LONGEST_SECONDS:g} s in vain for {what}")
        await asyncio.sleep(0.05)


def _upload(api: ControlApi, sites: list[str], number: int) -> dict[str, int]:
    document = f"skerry: 1\ndestinations: []\nroutes: []\n# {number} {time.time_ns()}\n"
    return {site: int(api.post_text(f"/sites/{site}/policies", document)["version"]) for site in sites}


def _publish_all(api: ControlApi, versions: dict[str, int]) -> tuple[int, int]:
    places = set()
    for site, version in versions.items():
        published = api.post(f"/sites/{site}/policies/{version}/publish", {})
        places.add((int(published["generation"]), int(published["version"])))
    if len(places) != 1:
        raise ProvisioningError(f"the sites are at different versions: {sorted(places)}")
    return places.pop()
