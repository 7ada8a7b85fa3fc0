"""The commands about roll-outs: a policy in waves, watched, and back by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from control.client import ApiClient, Problem
from control.console import DryRun, Shown, command, tried
from control.errors import SettingsError
from control.words import table

rollout = typer.Typer(no_args_is_help=True, help="Policies that go to few nodes first, and back when they do harm.")

Id = Annotated[str, typer.Argument(metavar="ID")]
IfMatch = Annotated[str | None, typer.Option(help="Only when its ETag still is this one.")]
WAVE_COLUMNS = ("wave", "nodes", "given", "applied", "failed", "absent", "back")


@command(rollout, "start")
def rollout_start(
    api: ApiClient,
    file: Path,
    sites: Annotated[list[str], typer.Argument(metavar="SITE…")],
    waves: Annotated[str, typer.Option(help="Numbers of nodes, or shares; the last one is 100%.")] = "1,10%,50%,100%",
    soak: Annotated[int, typer.Option(help="Seconds for which the nodes of a wave are watched.")] = 600,
    gate: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=NUMBER",
            help="max_failed, apply_seconds, silent_seconds, max_queue_growth, max_parked_growth, max_refused_percent, "
            "max_restarts.",
        ),
    ] = None,
    dry_run: DryRun = False,
) -> Shown:
    """Give a policy to few nodes of the sites first, then to all, such as: `rollout start ct.yaml north south`."""
    try:
        document = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file} cannot be read as text.", hint="Give a policy, in UTF-8.") from error
    body = {
        "sites": sites,
        "document": document,
        "waves": [one.strip() for one in waves.split(",")],
        "soak_seconds": soak,
        "gates": dict(_limit(one) for one in gate or []),
    }
    try:
        started = api.post("rollouts", body, dry_run=dry_run)
    except Problem as problem:
        problem.subject = str(file)
        raise
    return Shown(data=started, text=tried(dry_run, _text(started)))


@command(rollout, "list")
def rollout_list(
    api: ApiClient,
    site: Annotated[str | None, typer.Option(help="Only over this site.")] = None,
    limit: Annotated[int, typer.Option(help="How many at most, 1 to 1000.")] = 20,
) -> Shown:
    """What was rolled out, the newest first."""
    found = api.get("rollouts", site=site, limit=limit)["items"]
    rows = [one | {"sites": [each["site"] for each in one["sites"]], "waves": one["shares"]} for one in found]
    columns = ("id", "state", "wave", "waves", "sites", "started_at", "started_by", "text")
    return Shown(data=found, text=table(rows, columns))


@command(rollout, "show")
def rollout_show(api: ApiClient, rollout_id: Id) -> Shown:
    """One roll-out: its waves, its steps, and why nodes did not bear it."""
    found = api.get(f"rollouts/{rollout_id}")
    return Shown(data=found, text=_text(found))


@command(rollout, "pause")
def rollout_pause(api: ApiClient, rollout_id: Id, if_match: IfMatch = None, dry_run: DryRun = False) -> Shown:
    """Begin no further wave. What has the policy is watched still."""
    return _said(api, rollout_id, "pause", if_match, dry_run)


@command(rollout, "resume")
def rollout_resume(api: ApiClient, rollout_id: Id, if_match: IfMatch = None, dry_run: DryRun = False) -> Shown:
    """Go on after a pause."""
    return _said(api, rollout_id, "resume", if_match, dry_run)


@command(rollout, "abort")
def rollout_abort(api: ApiClient, rollout_id: Id, if_match: IfMatch = None, dry_run: DryRun = False) -> Shown:
    """Give whoever has the policy the one before, now."""
    return _said(api, rollout_id, "abort", if_match, dry_run)


def _said(api: ApiClient, rollout_id: str, word: str, if_match: str | None, dry_run: bool) -> Shown:
    found = api.post(f"rollouts/{rollout_id}/{word}", dry_run=dry_run, if_match=if_match)
    return Shown(data=found, text=tried(dry_run, _text(found)))


def _limit(word: str) -> tuple[str, int]:
    name, _, value = word.partition("=")
    if not name or not value.isdecimal():
        raise SettingsError(f"{word!r} is no gate.", hint="Gates look like max_queue_growth=500.")
    return name, int(value)


def _text(found: dict[str, Any]) -> str:
    sites = ", ".join(f"{one['site']} ({one['before_version']} -> {one['version']})" for one in found["sites"])
    blocks = [
        f"Roll-out {found['id']}: {found['state'].replace('_', ' ')}. {found['text']}",
        f"Sites and versions: {sites}",
        table(found["waves"], WAVE_COLUMNS),
    ]
    if found["soak_ends"] is not None:
        blocks.append(f"The nodes of wave {found['wave']} are watched until {found['soak_ends']}.")
    failed = [one for one in found["nodes"] if one["reason"]]
    if failed:
        blocks.append(table(failed, ("site", "name", "wave", "state", "reason")))
    if found["steps"]:
        blocks.append(table(found["steps"], ("at", "happening", "state", "actor", "text")))
    return "\n\n".join(blocks)
