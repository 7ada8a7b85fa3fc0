"""The commands that speak to a running control plane. Each takes --url, a key or a password file, and --json."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from control.client import ApiClient, Problem
from control.console import DryRun, Shown, command, tried
from control.errors import NotFound, SettingsError
from control.people_commands import api_key, user
from control.words import findings, table

site = typer.Typer(no_args_is_help=True, help="Places that nodes belong to.")
token = typer.Typer(no_args_is_help=True, help="One-time tokens that let a box into a site.")
node = typer.Typer(no_args_is_help=True, help="The boxes of the sites.")
policy = typer.Typer(no_args_is_help=True, help="What the sites shall do.")
study = typer.Typer(no_args_is_help=True, help="Where images are.")
audit = typer.Typer(no_args_is_help=True, help="Who changed what.")

GROUPS = {
    "site": site,
    "token": token,
    "node": node,
    "policy": policy,
    "study": study,
    "user": user,
    "api-key": api_key,
    "audit": audit,
}

Beginning = Annotated[str | None, typer.Option(help="Exact; a * at the end asks for a beginning.")]
OfSite = Annotated[str | None, typer.Option(help="Only of this site.")]


@command(site, "add")
def site_add(api: ApiClient, name: str, dry_run: DryRun = False) -> Shown:
    """Add a site."""
    made = api.post("sites", {"name": name}, dry_run=dry_run)
    return Shown(data=made, text=tried(dry_run, f"Site {made['name']} is known now."))


@command(site, "list")
def site_list(api: ApiClient) -> Shown:
    """List all sites."""
    found = list(api.items("sites"))
    return Shown(data=found, text=table(found, ("name", "created_at")))


@command(token, "create")
def token_create(
    api: ApiClient,
    site: str,
    hours: Annotated[int, typer.Option(help="How long it is good: 1 to 720.")] = 24,
    dry_run: DryRun = False,
) -> Shown:
    """Make a token for one box. It is shown once, works once, and ends after some hours."""
    made = api.post(f"sites/{site}/tokens", {"hours": hours}, dry_run=dry_run)
    return Shown(data=made, text=tried(dry_run, made["token"]))


@command(node, "list")
def node_list(api: ApiClient, site: OfSite = None) -> Shown:
    """List all nodes, with the age of their last word in seconds."""
    found = list(api.items("nodes", site=site))
    columns = ("id", "site", "name", "state", "age_seconds", "report.deliveries_waiting", "report.deliveries_parked")
    return Shown(data=found, text=table(found, columns))


@command(node, "revoke")
def node_revoke(
    api: ApiClient,
    node: Annotated[str, typer.Argument(help="Its name or its id.")],
    site: OfSite = None,
    dry_run: DryRun = False,
) -> Shown:
    """Refuse a node from now on. Its site goes on working alone."""
    revoked = api.post(f"nodes/{_node_id(api, node, site)}/revoke", dry_run=dry_run)
    return Shown(data=revoked, text=tried(dry_run, f"Node {revoked['name']} of {revoked['site']} is revoked."))


def _node_id(api: ApiClient, word: str, site: str | None) -> str:
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


@command(policy, "check")
def policy_check(api: ApiClient, file: Path) -> Shown:
    """Say what an edge would say of a policy. Keeps nothing."""
    found = api.post_yaml("policies/check", _document(file))["diagnostics"]
    ok = not any(one["severity"] == "error" for one in found)
    return Shown(data={"diagnostics": found}, text=findings(found, str(file)) or f"{file} is good.", ok=ok)


@command(policy, "publish")
def policy_publish(api: ApiClient, site: str, file: Path, dry_run: DryRun = False) -> Shown:
    """Upload a policy as the site's next version and let the site run it. A dry run stops before the second step."""
    try:
        uploaded = api.post_yaml(f"sites/{site}/policies", _document(file), dry_run=dry_run)
    except Problem as problem:
        problem.subject = str(file)
        raise
    if dry_run:
        text = tried(dry_run, f"Version {uploaded['version']} of site {site}.")
        return Shown(data=uploaded, text=text, warning=findings(uploaded["warnings"], str(file)))
    return _activated(api, site, uploaded["version"], str(file), uploaded["warnings"])


@command(policy, "activate")
def policy_activate(api: ApiClient, site: str, version: int, dry_run: DryRun = False) -> Shown:
    """Let a site run a version that was uploaded before: the way back."""
    return _activated(api, site, version, f"version {version}", [], dry_run=dry_run)


def _activated(
    api: ApiClient, site: str, version: int, name: str, warnings: list[dict[str, Any]], *, dry_run: bool = False
) -> Shown:
    active = api.post(f"sites/{site}/policies/{version}/publish", dry_run=dry_run)
    active["warnings"] = warnings + active["warnings"]
    return Shown(
        data=active,
        text=tried(dry_run, f"Site {site} shall run version {version} (generation {active['generation']})."),
        warning=findings(active["warnings"], name),
    )


@command(policy, "list")
def policy_list(api: ApiClient, site: str) -> Shown:
    """List a site's versions, and what its nodes said of each."""
    found = list(api.items(f"sites/{site}/policies"))
    rows = [one | {"nodes": [f"{said['node_id']}:{said['state']}" for said in one["answers"]]} for one in found]
    return Shown(data=found, text=table(rows, ("version", "active", "created_at", "created_by", "nodes")))


@command(study, "search")
def study_search(
    api: ApiClient,
    patient_id: Beginning = None,
    accession_number: Beginning = None,
    modality: Annotated[str | None, typer.Option(help="Such as CT.")] = None,
    study_date_from: Annotated[str | None, typer.Option(metavar="YYYY-MM-DD", help="On this day or later.")] = None,
    study_date_to: Annotated[str | None, typer.Option(metavar="YYYY-MM-DD", help="On this day or before.")] = None,
    site: Annotated[str | None, typer.Option(help="Received at this site.")] = None,
    state: Annotated[
        str | None, typer.Option(help="Has objects that are delivered, waiting, parked or unrouted.")
    ] = None,
    study_instance_uid: Annotated[str | None, typer.Option(help="Exactly this study.")] = None,
    q: Annotated[
        str | None, typer.Option("--q", help="Beginnings of words of name, id, accession number, description.")
    ] = None,
    limit: Annotated[int, typer.Option(help="How many at most, 1 to 1000.")] = 100,
) -> Shown:
    """Find studies, the newest first. Every option that is given must fit."""
    asked = {key: value for key, value in locals().items() if key != "api"}
    found = api.get("studies", **asked)
    columns = ("study_instance_uid", "patient_id", "study_date", "modalities", "received", "delivered", "waiting",
               "parked", "unrouted")  # fmt: skip
    return Shown(data=found, text=table(found["items"], columns))


@command(study, "trace")
def study_trace(api: ApiClient, uid: str) -> Shown:
    """Where every object of a study was received, and how each delivery of it stands."""
    found = api.get(f"studies/{uid}/trace", limit=1000)
    rows = [one | {"deliveries": [f"{due['destination']}:{due['state']}" for due in one["deliveries"]]}
            for one in found["instances"]]  # fmt: skip
    columns = ("sop_instance_uid", "site", "node_name", "calling_ae_title", "received_at", "deliveries")
    return Shown(data=found, text=table(rows, columns))


@command(audit, "list")
def audit_list(
    api: ApiClient,
    actor: Beginning = None,
    action: Beginning = None,
    object: Beginning = None,  # noqa: A002 - the word of the trail
    site: OfSite = None,
    since: Annotated[str | None, typer.Option(metavar="TIME", help="Such as 2026-03-01T00:00:00Z, or later.")] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Before this moment.")] = None,
    limit: int = 50,
    csv: Annotated[bool, typer.Option("--csv", help="All rows that fit, as CSV.")] = False,
) -> Shown:
    """Who changed what, newest first."""
    asked = {"actor": actor, "action": action, "object": object, "site": site, "since": since, "until": until}
    if csv:
        text = api.text("audit.csv", **asked)
        return Shown(data={"csv": text}, text=text.rstrip())
    found = api.get("audit", limit=limit, **asked)["items"]
    return Shown(data=found, text=table(found, ("sequence", "at", "actor", "action", "object", "site")))


@command(audit, "check")
def audit_check(api: ApiClient) -> Shown:
    """Say whether the audit trail is whole."""
    found = api.get("audit/check")
    text = "The trail is whole." if found["intact"] else f"Row {found['first_broken_sequence']} does not fit."
    return Shown(data=found, text=text, ok=found["intact"])


def _document(file: Path) -> bytes:
    try:
        return sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        raise SettingsError(f"The file {file} cannot be read: {error.strerror}.") from None
