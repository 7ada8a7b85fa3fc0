"""`skerry-control policy preview`: what a policy would change, before anybody runs it."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from control.client import ApiClient, Problem
from control.console import Shown, document_of
from control.errors import SettingsError

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
DURATION = re.compile(r"([1-9]\d{0,8})([smhd])", re.ASCII)
MOST_NAMED = 8


class Listed(StrEnum):
    """What `preview` can list."""

    CHANGED = "changed"
    NOWHERE = "nowhere"
    FAILED = "failed"
    UNTOLD = "untold"


def policy_preview(
    api: ApiClient,
    file: Path,
    site: Annotated[list[str] | None, typer.Option(help="Studies of this site; may be given again. Else all.")] = None,
    since: Annotated[str, typer.Option(help="Studies that began since: a number and s, m, h or d.")] = "24h",
    listed: Annotated[Listed | None, typer.Option("--list", help="List these studies.")] = None,
    limit: Annotated[int, typer.Option(help="How many are listed at most, 1 to 1000.")] = 100,
) -> Shown:
    """Say what a policy would change for what sites told of, beside what they shall run now. Changes nothing."""
    asked = {"since_seconds": _seconds(since), "list": listed.value if listed else None, "limit": limit}
    try:
        found = api.post_yaml("policies/preview", document_of(file), query=asked | {"site": site or None})
    except Problem as problem:
        problem.subject = str(file)
        raise
    return Shown(data=found, text="\n".join(_lines(found, listed)), warning=found["note"])


def _seconds(since: str) -> int:
    fits = DURATION.fullmatch(since)
    if fits is None:
        raise SettingsError(f"--since {since} is no time.", hint="Write a number and s, m, h or d, such as 24h.")
    return int(fits[1]) * SECONDS[fits[2]]


def _lines(found: dict[str, Any], listed: Listed | None) -> list[str]:
    lines = [
        f"{_counted(found['studies'])}: {found['changed']:,} change destination, {found['nowhere']:,} match nothing"
        + (f", {found['failed']:,} fail" if found["failed"] else "")
    ]
    if found["untold"]:
        named = [f"{one['keyword']} ({_counted(one['studies'])})" for one in found["unread"]]
        more = f" and {len(named) - MOST_NAMED} more" if len(named) > MOST_NAMED else ""
        lines += [
            f"{_counted(found['untold'])}: cannot be told here. The rules read what the centre does not hold: "
            f"{', '.join(named[:MOST_NAMED])}{more}.",
            "`skerry-edge policy replay` tells it at the site.",
        ]
    for one in found["items"]:
        told = one[listed.value] if listed else 0
        lines.append(f"{one['study_instance_uid']}  {one['site']}  {told:,} of {one['instances']:,} images")
        lines.append(f"  {_places(one['before'])} -> {_places(one['after'])}")
        if one["perhaps"]:
            lines.append(f"  perhaps {', '.join(one['perhaps'])}: not held here is {', '.join(one['unread']) or '-'}")
        lines += [f"  {reason}" for reason in one["reasons"]]
    return lines


def _counted(studies: int) -> str:
    return f"{studies:,} {'study' if studies == 1 else 'studies'}"


def _places(names: list[str]) -> str:
    return ", ".join(names) or "nowhere"
