"""`skerry-control node pending`, `approve` and `reject`, and `site approval`: who lets boxes in."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from control.client import ApiClient
from control.console import DryRun, Shown, tried
from control.words import table

RequestId = Annotated[str, typer.Argument(metavar="ID", help="`node pending` names it.")]
COLUMNS = ("id", "site", "name", "spoken_fingerprint", "address", "asked_at", "expires_at")


class Switch(StrEnum):
    """On or off."""

    ON = "on"
    OFF = "off"


def node_pending(
    api: ApiClient, site: Annotated[str | None, typer.Option("--site", help="Only of this site.")] = None
) -> Shown:
    """The boxes that wait for approval. Compare the fingerprint with what the box shows before you approve."""
    found = api.get("enrolments", site=site)
    return Shown(data=found, text=table(found, COLUMNS) if found else "No box waits.")


def node_approve(api: ApiClient, enrolment: RequestId, dry_run: DryRun = False) -> Shown:
    """Make a box that waits a node. It comes for its certificate within seconds."""
    made = api.post(f"enrolments/{enrolment}/approve", dry_run=dry_run)
    text = f"{made['name']} of {made['site']} ({made['spoken_fingerprint']}) is a node now."
    return Shown(data=made, text=tried(dry_run, text))


def node_reject(
    api: ApiClient,
    enrolment: RequestId,
    reason: Annotated[str, typer.Option(help="Why; it is shown at the box.")],
    dry_run: DryRun = False,
) -> Shown:
    """Send a box that waits away for good."""
    made = api.post(f"enrolments/{enrolment}/reject", {"reason": reason}, dry_run=dry_run)
    return Shown(data=made, text=tried(dry_run, f"{made['name']} of {made['site']} was sent away."))


def site_approval(
    api: ApiClient,
    site: str,
    needed: Annotated[Switch, typer.Argument(metavar="on|off", help="Whether boxes that join wait for a person.")],
    dry_run: DryRun = False,
) -> Shown:
    """Let boxes that join a site wait for a person, unless their token says otherwise."""
    made = api.post(f"sites/{site}/approval", {"needed": needed is Switch.ON}, dry_run=dry_run)
    text = "wait for approval" if made["needs_approval"] else "join at once"
    return Shown(data=made, text=tried(dry_run, f"Boxes with new tokens of {site} {text}."))
