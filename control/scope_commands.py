"""The commands about groups of sites, layers of policies, and what comes of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from control.client import ApiClient, Problem
from control.console import DryRun, Shown, command, document_of, tried
from control.errors import SettingsError
from control.policy_looks import compared
from control.words import findings, table

group = typer.Typer(no_args_is_help=True, help="Sites that share a layer of policy.")
layer = typer.Typer(no_args_is_help=True, help="Policies in layers: mesh, groups, site, node.")

Scope = Annotated[str, typer.Argument(metavar="SCOPE", help="mesh, group/NAME, site/NAME or node/ID.")]
IfMatch = Annotated[str | None, typer.Option(help="Only when the layer's ETag still is this one.")]
KINDS = ("group", "site", "node")


@command(group, "list")
def group_list(api: ApiClient) -> Shown:
    """List all groups with their sites."""
    found = api.get("groups")["items"]
    return Shown(data=found, text=table(found, ("name", "sites")))


@command(group, "add")
def group_add(api: ApiClient, name: str, dry_run: DryRun = False) -> Shown:
    """Add a group without sites."""
    made = api.post("groups", {"name": name}, dry_run=dry_run)
    return Shown(data=made, text=tried(dry_run, f"Group {made['name']} is known now."))


@command(group, "add-site")
def group_add_site(api: ApiClient, name: str, site: str, dry_run: DryRun = False) -> Shown:
    """Put a site into a group. What it runs changes when a layer over it is published next."""
    return _changed(api, name, site, "add", dry_run)


@command(group, "remove-site")
def group_remove_site(api: ApiClient, name: str, site: str, dry_run: DryRun = False) -> Shown:
    """Take a site out of a group. It keeps what it runs until something else is published."""
    return _changed(api, name, site, "remove", dry_run)


@command(layer, "list")
def layer_list(api: ApiClient, scope: Scope) -> Shown:
    """List the versions of a layer, the newest first."""
    found = list(api.items(_path(scope)))
    return Shown(data=found, text=table(found, ("version", "active", "created_at", "created_by")))


@command(layer, "show")
def layer_show(
    api: ApiClient,
    scope: Scope,
    version: Annotated[int | None, typer.Option(help="Else the one that counts, or the newest.")] = None,
) -> Shown:
    """Print a layer as it was written."""
    if version is None:
        known = list(api.items(_path(scope)))
        if not known:
            raise SettingsError(f"Nothing was uploaded as {scope} yet.", hint=f"layer upload {scope} FILE does it.")
        version = next((one["version"] for one in known if one["active"]), known[0]["version"])
    text = api.text(f"{_path(scope)}/{version}")
    return Shown(data={"scope": scope, "version": version, "document": text}, text=text.rstrip("\n"))


@command(layer, "upload")
def layer_upload(api: ApiClient, scope: Scope, file: Path, if_match: IfMatch = None, dry_run: DryRun = False) -> Shown:
    """Keep a file as the layer's next version, when every node under it could load what would come of it."""
    try:
        made = api.post_yaml(_path(scope), document_of(file), dry_run=dry_run, if_match=if_match)
    except Problem as problem:
        problem.subject = str(file)
        raise
    under = f"{_sites(made['sites'])} under it." if made["sites"] else "No site is under it yet."
    text = tried(dry_run, f"Version {made['version']} of {scope}; {under}")
    return Shown(data=made, text=text, warning=findings(made["warnings"], str(file)))


@command(layer, "publish")
def layer_publish(
    api: ApiClient, scope: Scope, version: int, if_match: IfMatch = None, dry_run: DryRun = False
) -> Shown:
    """Let a version count. Sites and nodes whose policy becomes another text get it."""
    made = api.post(f"{_path(scope)}/{version}/publish", dry_run=dry_run, if_match=if_match)
    whom = ", ".join(made["changed"]) or "nobody: no text changes"
    text = tried(dry_run, f"Version {version} of {scope} counts. Another policy goes to {whom}.")
    return Shown(data=made, text=text, warning=findings(made["warnings"], f"{scope} {version}"))


@command(layer, "diff")
def layer_diff(
    api: ApiClient,
    scope: Scope,
    before: Annotated[int, typer.Argument(help="A version of the layer.")],
    after: Annotated[int, typer.Argument(help="Another one.")],
    text: Annotated[bool, typer.Option("--text", help="Line by line, as it was written.")] = False,
) -> Shown:
    """What one version of a layer says otherwise than another, by name."""
    old, new = (api.text(f"{_path(scope)}/{version}").encode() for version in (before, after))
    return compared(old, new, f"{scope} {before}", f"{scope} {after}", by_line=text)


def policy_effective(
    api: ApiClient,
    site: Annotated[str | None, typer.Argument(help="What the site is to run.")] = None,
    node: Annotated[str | None, typer.Option("--node", metavar="ID", help="What this node is to run.")] = None,
    origins: Annotated[bool, typer.Option("--origins", help="Only which layer each entry is from.")] = False,
) -> Shown:
    """The policy of a site or node, and which layer each entry of it is from."""
    if (site is None) == (node is None):
        raise SettingsError("Whose policy is not known.", hint="Give a SITE, or --node ID.")
    path = f"sites/{quote(site, safe='')}" if site is not None else f"nodes/{quote(node or '', safe='')}"
    found = api.get(f"{path}/effective-policy")
    rows = [one | {"instead_of": one["before"]} for one in found["origins"]]
    entries = table(rows, ("entry", "layer", "line", "instead_of"))
    warning = "" if found["published"] else "This was not published yet: publish one of its layers."
    text = entries if origins else f"{found['document']}\n{entries}"
    return Shown(data=found, text=text, warning=warning)


def _changed(api: ApiClient, name: str, site: str, word: str, dry_run: bool) -> Shown:
    made = api.post(f"groups/{quote(name, safe='')}/{word}", {"site": site}, dry_run=dry_run)
    text = f"Group {name} has {_sites(made['sites'])}. Publish a layer over {site} to change what it runs."
    return Shown(data=made, text=tried(dry_run, text))


def _sites(names: list[Any]) -> str:
    return f"{len(names):,} {'site' if len(names) == 1 else 'sites'}"


def _path(scope: str) -> str:
    kind, _, name = scope.partition("/")
    if scope == "mesh":
        return "layers/mesh/all"
    if kind not in KINDS or not name or "/" in name:
        raise SettingsError(f"{scope!r} is no scope.", hint="Write mesh, group/NAME, site/NAME or node/ID.")
    return f"layers/{kind}/{quote(name, safe='')}"
