"""The commands about commands: ask something of a node, and see what came of it."""

from __future__ import annotations

import json
import time
from typing import Annotated, Any

import typer

from control.client import ApiClient
from control.console import DryRun, Shown, command, tried
from control.errors import NotFound, SettingsError
from control.words import table

asking = typer.Typer(no_args_is_help=True, help="What is asked of nodes, and how it went.")

LOOK_SECONDS = 0.5
ENDED = ("done", "failed", "expired")
COLUMNS = ("id", "site", "node_id", "kind", "state", "asked_at", "asked_by", "text")


@command(asking, "ask")
def command_ask(
    api: ApiClient,
    node: Annotated[str, typer.Argument(help="Its name or its id.")],
    kind: Annotated[str, typer.Argument(help="`command kinds` lists them.")],
    arguments: Annotated[list[str] | None, typer.Argument(metavar="[NAME=VALUE]…")] = None,
    site: Annotated[str | None, typer.Option(help="Only of this site.")] = None,
    wait: Annotated[int, typer.Option(help="Wait so many seconds for the end; 0 does not wait.")] = 0,
    expires: Annotated[int, typer.Option(help="Seconds in which the node must take it.")] = 3600,
    dry_run: DryRun = False,
) -> Shown:
    """Ask something of a node, such as: `command ask ct-gate release destination=pacs --wait 60`."""
    body = {"kind": kind, "arguments": _pairs(arguments or []), "expires_in_seconds": expires}
    asked = api.post(f"nodes/{node_id_of(api, node, site)}/commands", body, dry_run=dry_run)
    if dry_run:
        return Shown(data=asked, text=tried(True, f"{kind} is asked of {node}."))
    return _shown(await_end(api, asked, wait), late=bool(wait))


@command(asking, "list")
def command_list(
    api: ApiClient,
    site: Annotated[str | None, typer.Option(help="Only of this site.")] = None,
    state: Annotated[str | None, typer.Option(help="requested, accepted, done, failed or expired.")] = None,
    limit: Annotated[int, typer.Option(help="How many at most, 1 to 1000.")] = 50,
) -> Shown:
    """What was asked of nodes, the newest first."""
    found = api.get("commands", site=site, state=state, limit=limit)["items"]
    return Shown(data=found, text=table(found, COLUMNS))


@command(asking, "show")
def command_show(api: ApiClient, command_id: Annotated[str, typer.Argument(metavar="ID")]) -> Shown:
    """One command, with what came out of it."""
    return _shown(api.get(f"commands/{command_id}"), late=False)


@command(asking, "kinds")
def command_kinds(api: ApiClient) -> Shown:
    """What can be asked, and which arguments each kind takes."""
    found = api.get("commands/kinds")
    return Shown(data=found, text=table(found, ("kind", "meaning", "arguments", "needed")))


def await_end(api: ApiClient, asked: dict[str, Any], seconds: int) -> dict[str, Any]:
    """The command at its end, or as it is when the time is over."""
    deadline = time.monotonic() + seconds
    while asked["state"] not in ENDED and time.monotonic() < deadline:
        time.sleep(LOOK_SECONDS)
        asked = api.get(f"commands/{asked['id']}")
    return asked


def node_id_of(api: ApiClient, word: str, site: str | None) -> str:
    """The id of the node that a person means by its name or its id.

    Raises:
        NotFound, SettingsError: nobody, or several, may be meant.
    """
    known = list(api.items("nodes", site=site))
    if any(one["id"] == word for one in known):
        return word
    meant = [one for one in known if one["name"] == word and one["state"] != "revoked"]
    if not meant:
        raise NotFound(f"No node that may speak is called {word}.", hint="`skerry-control node list` names the nodes.")
    if len(meant) > 1:
        which = ", ".join(f"{one['id']} of {one['site']}" for one in meant)
        raise SettingsError(f"Several nodes are called {word}: {which}.", hint="Give --site, or the id.")
    return str(meant[0]["id"])


def _shown(asked: dict[str, Any], *, late: bool) -> Shown:
    lines = [f"{asked['kind']}: {asked['state']}. {asked['text']}".rstrip()]
    if asked["result"]:
        lines.append(json.dumps(asked["result"], indent=2))
    if asked["state"] not in ENDED:
        lines.append(f"See `skerry-control command show {asked['id']}` for its end.")
    ok = asked["state"] not in ("failed", "expired") and not (late and asked["state"] not in ENDED)
    return Shown(data=asked, text="\n".join(lines), ok=ok)


def _pairs(words: list[str]) -> dict[str, str]:
    found = {}
    for word in words:
        name, sign, value = word.partition("=")
        if not sign or not name:
            raise SettingsError(f"{word!r} is no argument.", hint="Arguments look like destination=pacs.")
        found[name] = value
    return found
