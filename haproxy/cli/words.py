"""`status`, `drain`, `ready`, `maint`, `weight` and `retry`: what is said to the manager that runs."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from haproxy.cli.options import DEFAULT_DATA_DIR, DataDir, DryRun, Json, places_of, who
from haproxy.cli.pictures import progress_lines, status_lines
from haproxy.errors import HaproxyError
from haproxy.manager.control_socket import ask_manager

Node = Annotated[str, typer.Argument(help="A member of the pools, as `status` names it.")]
Last = Annotated[bool, typer.Option("--last", help="Also when nobody else works: modalities are turned away then.")]
LOOK_SECONDS = 0.5
PAST_DEADLINE_SECONDS = 10.0


def status(
    data_dir: DataDir = DEFAULT_DATA_DIR,
    watch: Annotated[bool, typer.Option("--watch", help="Go on, every second, until interrupted.")] = False,
    as_json: Json = False,
) -> None:
    """Every member, what is open on it, and what is wrong. Exit code 1 when modalities are not served."""
    while True:
        facts = _ask(data_dir, {"do": "status"})
        if watch and not as_json:
            print("\033[H\033[2J", end="")
        _show(facts, status_lines(facts), as_json=as_json)
        if not watch:
            raise typer.Exit(0 if facts["ready"] else 1)
        time.sleep(1)


def drain(
    node: Node,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    deadline: Annotated[
        int, typer.Option("--deadline", min=0, metavar="SECONDS", help="Maint after so long in any case; 0 waits.")
    ] = 0,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until the last association has ended.")] = False,
    last: Last = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Give a node no new associations; when the open ones have ended, or at the deadline, it is in maint."""
    answer = _say(data_dir, node, "drain", last=last, dry_run=dry_run, seconds=deadline)
    if wait and not dry_run:
        answer = _until_maint(data_dir, node, answer, deadline, quiet=as_json)
    _show(answer, progress_lines(answer), as_json=as_json)


def ready(node: Node, data_dir: DataDir = DEFAULT_DATA_DIR, dry_run: DryRun = False, as_json: Json = False) -> None:
    """Give a node new associations again, as soon as its checks are good."""
    answer = _say(data_dir, node, "ready", last=False, dry_run=dry_run)
    _show(answer, progress_lines(answer), as_json=as_json)


def maint(
    node: Node, data_dir: DataDir = DEFAULT_DATA_DIR, last: Last = False, dry_run: DryRun = False, as_json: Json = False
) -> None:
    """Give a node nothing and do not check it, from now on. What is open on it goes on; `drain` waits for it."""
    answer = _say(data_dir, node, "maint", last=last, dry_run=dry_run)
    _show(answer, progress_lines(answer), as_json=as_json)


def weight(
    node: Node,
    share: Annotated[int, typer.Argument(min=0, max=256, help="0 to 256; 100 is usual.")],
    data_dir: DataDir = DEFAULT_DATA_DIR,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Give a node another share of new associations, until the pools ask for another one."""
    request = {"do": "weight", "node": node, "weight": share, "by": who(), "dry_run": dry_run}
    answer = _ask(data_dir, request)
    _show(answer, progress_lines(answer), as_json=as_json)


def retry(data_dir: DataDir = DEFAULT_DATA_DIR, as_json: Json = False) -> None:
    """Try again what was refused: something that stood in the way, such as a missing certificate, was mended."""
    facts = _ask(data_dir, {"do": "retry"})
    _show(facts, status_lines(facts), as_json=as_json)


def _say(data_dir: Path, node: str, state: str, **more: Any) -> Mapping[str, Any]:
    return _ask(data_dir, {"do": state, "node": node, "by": who(), **more})


def _until_maint(
    data_dir: Path, node: str, answer: Mapping[str, Any], deadline: int, *, quiet: bool
) -> Mapping[str, Any]:
    give_up = time.monotonic() + deadline + PAST_DEADLINE_SECONDS if deadline else None
    told = -1
    while set(answer["states"].values()) != {"maint"}:
        if answer["sessions"] != told and not quiet:
            told = answer["sessions"]
            print(f"{node}: {told} open associations", file=sys.stderr, flush=True)
        if give_up is not None and time.monotonic() > give_up:
            raise HaproxyError(
                f"{node} is not in maint after {deadline} s", hint="`skerry-haproxy status` tells what it is instead."
            )
        time.sleep(LOOK_SECONDS)
        answer = _ask(data_dir, {"do": "look", "node": node})
        if "ready" in answer["states"].values():
            raise HaproxyError(f"{node} was made ready meanwhile", hint="Somebody else said so.")
    return answer


def _ask(data_dir: Path, request: Mapping[str, Any]) -> Mapping[str, Any]:
    return ask_manager(places_of(data_dir).control_socket, request)


def _show(facts: Mapping[str, Any], lines: Iterable[str], *, as_json: bool) -> None:
    print(json.dumps(facts, indent=2) if as_json else "\n".join(lines), flush=True)
