"""`skerry-control policy diff` and `policy drift`: what two versions say, and which nodes run something else."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from control.client import ApiClient
from control.console import Shown
from control.policy_difference import changes, line_changes
from control.words import table

DRIFT = ("site", "node", "wanted", "active", "why", "since", "text")


def policy_diff(
    api: ApiClient,
    site: str,
    before: Annotated[int, typer.Argument(help="A version of the site.")],
    after: Annotated[int, typer.Argument(help="Another one.")],
    other_site: Annotated[str | None, typer.Option(help="The second version is of this site.")] = None,
    text: Annotated[bool, typer.Option("--text", help="Line by line, as it was written.")] = False,
) -> Shown:
    """What one version says otherwise than another: destinations, routes and all else, by name."""
    there = other_site or site
    return compared(
        _document(api, site, before), _document(api, there, after), f"{site} {before}", f"{there} {after}", by_line=text
    )


def compared(old: bytes, new: bytes, before: str, after: str, *, by_line: bool) -> Shown:
    """What two documents have different, by name or line by line."""
    found = changes(old, new)
    lines = "\n".join(one.text() for one in found) or "Both mean the same."
    if by_line:
        lines = line_changes(old, new, before, after) or "Both are the same."
    return Shown(data=[one.shown() for one in found], text=lines)


def policy_drift(
    api: ApiClient,
    site: Annotated[str | None, typer.Option(help="Only of this site.")] = None,
) -> Shown:
    """What does not run as it shall, since when and why: nodes, and sites that shall run something else than their
    layers say. Ends with 1 when there is any."""
    found = [
        {
            "site": one["site"],
            "node": one["node_name"],
            "node_id": one["node_id"],
            "wanted": _place(one["wanted"]),
            "active": _place(one["active"]),
            "why": one["why"],
            "since": one["since"],
            "text": one["text"],
            "wanted_sha256": one["wanted_sha256"],
            "active_sha256": one["active_sha256"],
        }
        for one in api.get("policies/drift", site=site)["items"]
    ]
    return Shown(data=found, text=table(found, DRIFT) if found else "Every node runs what it shall.", ok=not found)


def _document(api: ApiClient, site: str, version: int) -> bytes:
    return api.text(f"sites/{site}/policies/{version}").encode()


def _place(place: dict[str, Any] | None) -> str:
    return f"{place['generation']}.{place['version']}" if place and place["version"] else "-"
