"""`skerry-edge echo`: ask a destination whether it is there, by C-ECHO, from the machine that would send to it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from edge.cli.documents import read_document
from edge.cli.options import DataDir, Json
from edge.errors import SettingsError
from edge.model import Destination
from edge.orders import OrdersWatch
from edge.run_dir import RunDir


def echo(
    destination: Annotated[
        str, typer.Argument(help="The name of a destination; of a group, all its members are asked.")
    ],
    data_dir: DataDir,
    as_json: Json = False,
    policy: Annotated[
        Path | None,
        typer.Option("--policy", help="A policy document, or - for standard input; else the policy that ran last."),
    ] = None,
    calling: Annotated[
        str, typer.Option("--calling-ae-title", help="The name to call under, instead of what the policy says.")
    ] = "",
) -> None:
    """Say whether DESTINATION answers a C-ECHO, and if not, what is the matter and who can mend it."""
    from edge.forward.asked_peers import called_as, peers_of
    from edge.forward.echo import ask

    peers = peers_of(destination, _destinations(data_dir, policy))
    answers = [ask(called_as(peer, calling), data_dir) for peer in peers]
    if as_json:
        print(json.dumps([asdict(one) for one in answers], indent=2))
    else:
        for one in answers:
            where = f"{one.ae_title} at {one.host}:{one.port}{' over TLS' if one.tls else ''}"
            print(
                f"{one.destination}: {one.text} ({where}, called as {one.calling_ae_title}, {one.milliseconds:.0f} ms)"
            )
            if one.hint:
                print(f"    {one.hint}")
    raise typer.Exit(0 if all(one.well for one in answers) else 1)


def _destinations(data_dir: Path, policy: Path | None) -> Sequence[Destination]:
    if policy is not None:
        from edge.policy.document import load_policy

        return load_policy(read_document(policy)).destinations
    orders = OrdersWatch(RunDir(data_dir)).news()
    if orders is None:
        raise SettingsError(
            f"no policy has run in {data_dir}", hint="Give the document with --policy, or start the node once."
        )
    return orders.destinations
