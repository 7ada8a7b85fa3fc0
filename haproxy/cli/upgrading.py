"""`skerry-haproxy upgrade`: one node after the other, and the way back."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from haproxy.cli.options import DEFAULT_DATA_DIR, DataDir, DryRun, Json, places_of, who
from haproxy.errors import HaproxyError, SettingsError, UnknownNode
from haproxy.manager.control_socket import ask_manager
from haproxy.upgrade.journal import Journal, Progress, begun
from haproxy.upgrade.rolling import Plan, Rolling
from haproxy.upgrade.table import Step


def upgrade(
    script: Annotated[
        Path, typer.Option("--script", help="Upgrades the node SKERRY_NODE, or takes it back: SKERRY_STEP tells which.")
    ],
    data_dir: DataDir = DEFAULT_DATA_DIR,
    nodes: Annotated[
        list[str] | None, typer.Option("--node", help="Only these, in this order. May repeat. [default: all]")
    ] = None,
    deadline: Annotated[int, typer.Option("--deadline", min=1, metavar="SECONDS", help="For a drain.")] = 600,
    script_deadline: Annotated[float, typer.Option("--script-deadline", min=1, metavar="SECONDS")] = 1800.0,
    health: Annotated[
        float, typer.Option("--health", min=1, metavar="SECONDS", help="In which a node must be well again.")
    ] = 120.0,
    fresh: Annotated[bool, typer.Option("--fresh", help="Begin anew, also when the last one was interrupted.")] = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Upgrade the nodes of this site one after the other, while the others work: drain, script, health, ready.

    A node that is not well afterwards is taken back, and no further one is touched. What was interrupted goes on.
    """
    script = _runnable(script)
    places = places_of(data_dir)

    def ask(request: Mapping[str, Any]) -> Mapping[str, Any]:
        return ask_manager(places.control_socket, request)

    status = ask({"do": "status"})
    journal = Journal(places.data_dir / "upgrade.json")
    progress = None if fresh else _interrupted(journal, script, nodes)
    resumed, progress = progress is not None, progress or begun(str(script), _chosen(status, nodes))
    _check_others_work(status, list(progress.steps))
    if not dry_run:
        if resumed:
            print("the last upgrade was interrupted; it goes on", file=sys.stderr, flush=True)
        plan = Plan(
            script=script, drain_seconds=deadline, script_seconds=script_deadline, health_seconds=health, by=who()
        )
        progress = Rolling(plan, ask, journal, _tell).run(progress)
    _show(progress, dry_run=dry_run, resumed=resumed, as_json=as_json)
    if not dry_run and set(progress.steps.values()) != {Step.DONE}:
        raise typer.Exit(1)


def _runnable(script: Path) -> Path:
    found = shutil.which(script.absolute())
    if found is None:
        raise SettingsError(f"{script} is no program that can be run", hint="Give a file with `chmod +x`.")
    return Path(os.fspath(found))


def _interrupted(journal: Journal, script: Path, nodes: Sequence[str] | None) -> Progress | None:
    last = journal.unfinished()
    if last is None:
        return None
    if last.script != str(script) or (nodes and list(nodes) != list(last.steps)):
        raise SettingsError(
            f"an upgrade of {', '.join(last.steps)} with {last.script} was interrupted",
            hint="Go on with it by the same command, or begin anew with --fresh.",
        )
    return last


def _chosen(status: Mapping[str, Any], nodes: Sequence[str] | None) -> Sequence[str]:
    known = sorted({one["node"] for one in status["members"]})
    for node in nodes or ():
        if node not in known:
            raise UnknownNode(f"no pool has a member {node!r}", hint=f"Members are: {', '.join(known)}.")
    chosen = list(dict.fromkeys(nodes or known))
    if not chosen:
        raise HaproxyError("there are no members to upgrade", hint="`skerry-haproxy status` tells why.")
    return chosen


def _check_others_work(status: Mapping[str, Any], nodes: Sequence[str]) -> None:
    """Say before anything is touched what would stop it half-way."""
    behind: dict[str, list[Mapping[str, Any]]] = {}
    for one in status["members"]:
        behind.setdefault(f"{one['pool']}.{one['listener']}", []).append(one)
    for listener, members in behind.items():
        working = {one["node"] for one in members if one["up"] and one["admin"] == "ready"}
        for node in nodes:
            if node in working and len(working) == 1:
                raise HaproxyError(
                    f"{node} is the only member that works behind {listener}; nobody would take images meanwhile",
                    hint="Bring another one back first.",
                )


def _tell(node: str, step: Step, words: str) -> None:
    print(f"{node}: {step}{f' failed: {words}' if words else ''}", file=sys.stderr, flush=True)


_WORDS = {
    Step.DONE: "upgraded",
    Step.BACK: "taken back; it is as it was before, and works",
    Step.STUCK: "STUCK: it takes no associations; look at it, then `skerry-haproxy ready`",
    Step.DRAIN: "untouched",
}


def _show(progress: Progress, *, dry_run: bool, resumed: bool, as_json: bool) -> None:
    if as_json:
        steps = {node: str(step) for node, step in progress.steps.items()}
        print(json.dumps({"dry_run": dry_run, "resumed": resumed, "nodes": steps}, indent=2))
        return
    for node, step in progress.steps.items():
        print(f"{node}: would be upgraded" if dry_run else f"{node}: {_WORDS.get(step, step)}")
