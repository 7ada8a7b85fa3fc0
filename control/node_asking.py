"""`skerry-control node drain` and `node log`: the two commands to nodes that people need in a hurry."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from control.asking_commands import ENDED, await_end, node_id_of
from control.client import ApiClient
from control.console import DryRun, Shown, tried

Node = Annotated[str, typer.Argument(help="Its name or its id.")]
OfSite = Annotated[str | None, typer.Option("--site", help="Only of this site.")]
Wait = Annotated[int, typer.Option("--wait", help="Wait so many seconds for the node; 0 does not wait.")]


def node_drain(
    api: ApiClient,
    node: Node,
    end: Annotated[bool, typer.Option("--end", help="Let it take associations again.")] = False,
    reason: Annotated[str, typer.Option(help="Why, for the audit; no patient data.")] = "",
    even_alone: Annotated[
        bool, typer.Option("--even-alone", help="Also when no other node of its site is up.")
    ] = False,
    site: OfSite = None,
    wait: Wait = 90,
    dry_run: DryRun = False,
) -> Shown:
    """Let a node take no new associations and deliver what it holds; it stays so over restarts, until --end."""
    arguments = {"end": "true"} if end else {}
    arguments |= {"reason": reason} if reason else {}
    arguments |= {"even_alone": "true"} if even_alone else {}
    asked = _ask(api, node, site, "drain", arguments, wait=wait, dry_run=dry_run)
    verb = "takes associations again" if end else "takes no new associations"
    return Shown(data=asked, text=tried(True, f"{node} {verb}.") if dry_run else _told(asked), ok=_well(asked, wait))


def node_log(
    api: ApiClient,
    node: Node,
    lines: Annotated[int, typer.Option(help="How many at most, 1 to 1000.")] = 100,
    level: Annotated[str, typer.Option(help="The least: debug, info, warning, error or critical.")] = "debug",
    site: OfSite = None,
    wait: Wait = 90,
    dry_run: DryRun = False,
) -> Shown:
    """The last lines of a node's log: at most 1000 lines and 256 KiB; what its processes keep in memory."""
    asked = _ask(api, node, site, "log-tail", {"lines": str(lines), "level": level}, wait=wait, dry_run=dry_run)
    if dry_run:
        return Shown(data=asked, text=tried(True, f"{node} tells the last lines of its log."))
    found = (asked["result"] or {}).get("lines")
    return Shown(
        data=asked,
        text=_told(asked) if found is None else "\n".join(_line(one) for one in found),
        ok=_well(asked, wait),
    )


def _ask(
    api: ApiClient, node: str, site: str | None, kind: str, arguments: dict[str, str], *, wait: int, dry_run: bool
) -> dict[str, Any]:
    body = {"kind": kind, "arguments": arguments}
    asked: dict[str, Any] = api.post(f"nodes/{node_id_of(api, node, site)}/commands", body, dry_run=dry_run)
    return asked if dry_run else await_end(api, asked, wait)


def _well(asked: dict[str, Any], wait: int) -> bool:
    return asked["state"] not in ("failed", "expired") and (asked["state"] in ENDED or not wait)


def _told(asked: dict[str, Any]) -> str:
    text = f"{asked['kind']}: {asked['state']}. {asked['text']}".rstrip()
    return text if asked["state"] in ENDED else f"{text}\nSee `skerry-control command show {asked['id']}` for its end."


def _line(one: dict[str, Any]) -> str:
    head = f"{one.get('timestamp', '')} {one.get('level', ''):<8} {one.get('process', ''):<10} {one.get('event', '')}"
    rest = {key: value for key, value in one.items() if key not in ("timestamp", "level", "process", "event")}
    # A node may have been taken over; what it says must not drive a terminal.
    text = " ".join([head, *(f"{key}={value}" for key, value in rest.items())])
    return "".join(letter if letter.isprintable() else "�" for letter in text)
