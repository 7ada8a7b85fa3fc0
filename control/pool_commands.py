"""`skerry-control pool`: what is open on which node of a site, and who shall stand aside."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

import typer

from control.client import ApiClient
from control.console import DryRun, Shown, command, tried
from control.words import table

pool = typer.Typer(no_args_is_help=True, help="HAProxy pools of sites.")
Site = Annotated[str, typer.Argument(help="Its name.")]
Node = Annotated[str, typer.Argument(help="The node's name.")]
Last = Annotated[bool, typer.Option("--last", help="Also when nobody else works: modalities are turned away then.")]


@command(pool, "show")
def pool_show(api: ApiClient, site: Annotated[str | None, typer.Argument(help="Only of this site.")] = None) -> Shown:
    """Every member of a site's pools, what is open on it, and what is wrong; of all sites when none is named."""
    found = api.get(f"sites/{quote(site, safe='')}/pools" if site else "pools")["items"]
    return Shown(data=found, text="\n\n".join(map(_drawn, found)) or "There are no pools.")


@command(pool, "drain")
def pool_drain(
    api: ApiClient,
    site: Site,
    node: Node,
    deadline: Annotated[int, typer.Option(help="Seconds after which it is in maint in any case; 0 waits.")] = 0,
    last: Last = False,
    dry_run: DryRun = False,
) -> Shown:
    """Give a node no new associations; when the open ones have ended, or at the deadline, it is in maint."""
    return _say(api, site, node, {"state": "drain", "deadline_seconds": deadline, "last": last}, dry_run)


@command(pool, "ready")
def pool_ready(api: ApiClient, site: Site, node: Node, dry_run: DryRun = False) -> Shown:
    """Give a node new associations again."""
    return _say(api, site, node, {"state": "ready"}, dry_run)


@command(pool, "maint")
def pool_maint(api: ApiClient, site: Site, node: Node, last: Last = False, dry_run: DryRun = False) -> Shown:
    """Give a node nothing, and do not check it, from now on."""
    return _say(api, site, node, {"state": "maint", "last": last}, dry_run)


@command(pool, "weight")
def pool_weight(
    api: ApiClient,
    site: Site,
    node: Node,
    share: Annotated[int, typer.Argument(min=0, max=256, help="0 to 256; 100 is usual.")],
    last: Last = False,
    dry_run: DryRun = False,
) -> Shown:
    """Give a node another share of new associations."""
    return _say(api, site, node, {"weight": share, "last": last}, dry_run)


def _say(api: ApiClient, site: str, node: str, word: dict[str, Any], dry_run: bool) -> Shown:
    path = f"sites/{quote(site, safe='')}/pools/{quote(node, safe='')}/say"
    found = api.post(path, word, dry_run=dry_run)
    return Shown(data=found, text=tried(dry_run, f"the manager of {site} is told.\n{_drawn(found)}"))


def _drawn(site: dict[str, Any]) -> str:
    lines = [f"{site['site']}: order {site['order']}"]
    for node, word in sorted(site["words"].items()):
        weight = "" if word["weight"] is None else f", weight {word['weight']}"
        lines.append(f"  said here: {node} {word['state']}{weight}")
    if not site["managers"]:
        lines.append("  no manager has reported: run skerry-haproxy at the site")
    for manager in site["managers"]:
        lines += _manager(manager)
    return "\n".join(lines)


def _manager(manager: dict[str, Any]) -> list[str]:
    said = manager["report"]
    heard = f"silent since {manager['heard_at']}" if manager["silent"] else "heard of"
    running = f"HAProxy {said['haproxy_version']}" if said["haproxy_running"] else "HAProxy does not answer"
    lines = [f"  manager on {manager['node']}: {heard}, {running}, runs order {said['order']}"]
    if said["rejected"]:
        lines.append(f"  refused: order {said['rejected']['order']}: {said['rejected']['words']}")
    rows = [
        {
            "listener": f"{one['pool']}.{one['listener']}",
            "node": one["node"],
            "state": one["admin"] if one["admin"] != "ready" else one["status"],
            "open": one["sessions"],
            "weight": one["weight"],
            "check": one["check"],
            "agent": one["agent"],
        }
        for one in said["members"]
    ]
    lines.append(table(rows, ("listener", "node", "state", "open", "weight", "check", "agent")))
    lines += [f"  {one['severity']}: {one['text']} {one['hint']}" for one in said["conditions"]]
    return lines
