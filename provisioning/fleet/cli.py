"""`skerry-fleet`: simulated edges for a real control plane. Only ever against one that may be loaded."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from provisioning.errors import ProvisioningError
from provisioning.fleet import drills, identities, joining
from provisioning.fleet.crew import Crew
from provisioning.fleet.faults import Plan, read_faults
from provisioning.local.control_api import ControlApi

app = typer.Typer(help=__doc__, no_args_is_help=True, pretty_exceptions_enable=False)

Folder = Annotated[Path, typer.Option("--folder", help="Where the identities of the fleet are kept.")]
Url = Annotated[str, typer.Option("--url", envvar="SKERRY_URL", help="The control plane's plain HTTP address.")]
Password = Annotated[Path, typer.Option("--password-file", help="The password of `admin`.")]
Boxes = Annotated[int | None, typer.Option("--boxes", min=1, help="Only the first so many.")]
Grpc = Annotated[str | None, typer.Option("--grpc", help="Where the gRPC door is now, when it has moved: HOST:PORT.")]
Mqtt = Annotated[str | None, typer.Option("--mqtt", help="Where the broker is now, when it has moved: HOST:PORT.")]
Rate = Annotated[float, typer.Option("--events", min=0, help="Events in a second, of the whole fleet.")]
Faults = Annotated[str, typer.Option("--faults", help="Shares of the fleet: cut=0.1,slow,skew,clone,crash,old.")]
Seed = Annotated[int, typer.Option("--seed", help="The same seed gives the same faults and studies.")]
Broker = Annotated[
    bool, typer.Option("--broker/--no-broker", help="Hear nudges over MQTT, when the mesh has a broker.")
]
Json = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]


@app.command()
def join(
    folder: Folder,
    url: Url,
    password: Password,
    boxes: Annotated[int, typer.Option("--boxes", min=1, help="How many.")] = 100,
    sites: Annotated[int, typer.Option("--sites", min=1, help="Spread over so many sites.")] = 10,
    prefix: Annotated[str, typer.Option("--prefix", help="How their names begin.")] = "box",
) -> None:
    """Enrol simulated boxes, each with a token of its own, and keep their identities in the folder."""
    api = ControlApi(url, joining.password_file(password))
    began, told = time.monotonic(), 0.0

    def said(done: int) -> None:
        nonlocal told
        if time.monotonic() - told > 1 or done == boxes:
            told = time.monotonic()
            print(f"{done} of {boxes} enrolled", file=sys.stderr)

    identities.add(folder, asyncio.run(joining.join(api, sites=sites, boxes=boxes, said=said, prefix=prefix)))
    print(f"{boxes} boxes at {sites} sites in {time.monotonic() - began:.1f} s")


@app.command()
def run(
    folder: Folder,
    seconds: Annotated[float, typer.Option("--seconds", min=1, help="How long.")] = 60.0,
    boxes: Boxes = None,
    grpc: Grpc = None,
    mqtt: Mqtt = None,
    events: Rate = 0.0,
    faults: Faults = "",
    seed: Seed = 1,
    broker: Broker = True,
    as_json: Json = False,
) -> None:
    """Let the fleet live for a while, and say what it saw."""
    crew = Crew(
        identities.load(folder, boxes, grpc=grpc, mqtt=mqtt),
        plan=Plan(shares=read_faults(faults), seed=seed),
        events_per_second=events,
        broker=broker,
    )

    async def live() -> None:
        async with crew.aboard():
            until = time.monotonic() + seconds
            while (left := until - time.monotonic()) > 0:
                await asyncio.sleep(min(5.0, left))
                print(_line(crew.facts()), file=sys.stderr)

    asyncio.run(live())
    facts = crew.facts()
    print(json.dumps(facts, indent=2) if as_json else _line(facts))


@app.command()
def publish(
    folder: Folder,
    url: Url,
    password: Password,
    boxes: Boxes = None,
    grpc: Grpc = None,
    mqtt: Mqtt = None,
    events: Rate = 0.0,
    faults: Faults = "",
    seed: Seed = 1,
    broker: Broker = True,
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="Publish so often.")] = 3,
    as_json: Json = False,
) -> None:
    """Connect the fleet, publish a policy to its sites, and measure how long it takes until it runs everywhere."""
    fleet = identities.load(folder, boxes, grpc=grpc, mqtt=mqtt)
    crew = Crew(fleet, plan=Plan(shares=read_faults(faults), seed=seed), events_per_second=events, broker=broker)
    api = ControlApi(url, joining.password_file(password))
    found = asyncio.run(drills.publish(api, crew, sorted({one.site for one in fleet}), rounds, broker=broker))
    if as_json:
        print(json.dumps(found, indent=2))
        return
    print(f"{found['boxes']} boxes spoke after {found['connect_seconds']:.1f} s")
    for one in found["rounds"]:
        print(f"published: half after {one['p50']:.2f} s, 99 % after {one['p99']:.2f} s, all after {one['all']:.2f} s")
    print(_words(found))


@app.command()
def reconnect(
    folder: Folder,
    url: Url,
    password: Password,
    boxes: Boxes = None,
    grpc: Grpc = None,
    mqtt: Mqtt = None,
    faults: Faults = "",
    seed: Seed = 1,
    broker: Broker = True,
    as_json: Json = False,
) -> None:
    """Connect the fleet, cut every line at once, and measure how long it takes until the centre sees all again."""
    fleet = identities.load(folder, boxes, grpc=grpc, mqtt=mqtt)
    crew = Crew(fleet, plan=Plan(shares=read_faults(faults), seed=seed), broker=broker)
    found = asyncio.run(drills.reconnect(ControlApi(url, joining.password_file(password)), crew, broker=broker))
    if as_json:
        print(json.dumps(found, indent=2))
        return
    print(f"{found['boxes']} boxes spoke {found['spoke_seconds']:.1f} s after they were cut off", end="")
    print(f", the centre saw all after {found['present_seconds']:.1f} s")
    print(_words(found))


def _words(found: dict[str, Any]) -> str:
    return f"errors: {found['errors'] or 'none'}; told to come again: {found['told_to_wait']}"


def _line(facts: dict[str, Any]) -> str:
    errors = sum(facts["errors"].values())
    return (
        f"{facts['spoke']} of {facts['boxes']} spoke, {facts['present']} at the broker, "
        f"{facts['with_policy']} with a policy, {facts['events_acknowledged']} events, {errors} errors"
    )


def main() -> None:
    """Run the program; what went wrong ends as one sentence and a hint."""
    try:
        app()
    except ProvisioningError as error:
        print(f"skerry-fleet: {error}" + (f" {error.hint}" if error.hint else ""), file=sys.stderr)
        sys.exit(1)
