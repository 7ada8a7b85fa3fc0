"""`skerry-control report`: the account of a day, for each site."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from control.client import ApiClient
from control.console import Shown, command
from control.words import table

report = typer.Typer(no_args_is_help=True, help="What was received against what was delivered.")

COLUMNS = ("site", "studies", "received", "delivered", "waiting", "for_a_person", "unrouted", "verdict")
STUDY_COLUMNS = ("study_instance_uid", "received", "delivered", "waiting", "for_a_person", "unrouted")


@command(report, "day")
def report_day(
    api: ApiClient,
    site: Annotated[list[str] | None, typer.Option("--site", help="Only this site; can be repeated.")] = None,
    day: Annotated[str | None, typer.Option(metavar="YYYY-MM-DD", help="In UTC. The last 24 hours otherwise.")] = None,
) -> Shown:
    """One line for each site: nothing lost, or what is open. Ends with 1 when something needs a person."""
    sites = site or [one["name"] for one in api.items("sites")]
    found = [api.get(f"sites/{one}/account", day=day) for one in sites]
    return Shown(data=found, text=_text(found), ok=not any(one["for_a_person"] for one in found))


def _text(found: list[dict[str, Any]]) -> str:
    parts = [table(found, COLUMNS)]
    for one in found:
        if one["open_studies"]:
            rest = f"\n… and {one['left_out']} more" if one["left_out"] else ""
            parts.append(f"{one['site']}, open:\n{table(one['open_studies'], STUDY_COLUMNS)}{rest}")
    return "\n\n".join(parts)
