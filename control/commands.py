"""The commands that speak to a running control plane. Each takes --url, a key or a password file, and --json."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from control.approval_commands import node_approve, node_pending, node_reject, site_approval
from control.asking_commands import asking, node_id_of
from control.client import ApiClient, Problem
from control.console import DryRun, Shown, command, document_of, tried, write_secret
from control.node_asking import node_drain, node_log
from control.node_words import node_text
from control.people_commands import api_key, user
from control.policy_looks import policy_diff, policy_drift
from control.pool_commands import pool
from control.preview_commands import policy_preview
from control.report_commands import report
from control.rollout_commands import rollout
from control.scope_commands import group, layer, policy_effective
from control.token_pictures import svg_text, terminal_text
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
    "command": asking,
    "report": report,
    "policy": policy,
    "group": group,
    "layer": layer,
    "rollout": rollout,
    "pool": pool,
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
    return Shown(data=found, text=table(found, ("name", "created_at", "needs_approval")))


@command(token, "create")
def token_create(
    api: ApiClient,
    site: str,
    hours: Annotated[int, typer.Option(help="How long it is good: 1 to 720.")] = 24,
    needs_approval: Annotated[
        bool | None,
        typer.Option(
            "--needs-approval/--no-approval", help="Whether the box waits for a person; else as the site has it."
        ),
    ] = None,
    qr: Annotated[bool, typer.Option("--qr", help="Show it as a QR code too.")] = False,
    svg: Annotated[Path | None, typer.Option(help="Write the QR code into this file, for paper.")] = None,
    dry_run: DryRun = False,
) -> Shown:
    """Make a token for one box. It is shown once, works once, and ends after some hours."""
    body = {"hours": hours, "needs_approval": needs_approval}
    made = api.post(f"sites/{site}/tokens", body, dry_run=dry_run)
    if svg is not None and not dry_run:
        write_secret(svg, svg_text(made["token"]))
    picture = f"\n{terminal_text(made['token'])}" if qr and not dry_run else ""
    return Shown(data=made, text=tried(dry_run, made["token"]) + picture)


@command(node, "list")
def node_list(api: ApiClient, site: OfSite = None) -> Shown:
    """List all nodes, with the age of their last word in seconds."""
    found = list(api.items("nodes", site=site))
    columns = ("id", "site", "name", "state", "age_seconds", "report.deliveries_waiting", "report.deliveries_parked")
    return Shown(data=found, text=table(found, columns))


@command(node, "show")
def node_show(
    api: ApiClient, node: Annotated[str, typer.Argument(help="Its name or its id.")], site: OfSite = None
) -> Shown:
    """How a node is: policy, clock, certificate, buffer, disk, how long it can stay cut off, and what to do."""
    found = api.get(f"nodes/{node_id_of(api, node, site)}")
    return Shown(data=found, text=node_text(found))


@command(node, "revoke")
def node_revoke(
    api: ApiClient,
    node: Annotated[str, typer.Argument(help="Its name or its id.")],
    site: OfSite = None,
    dry_run: DryRun = False,
) -> Shown:
    """Refuse a node from now on. Its site goes on working alone."""
    revoked = api.post(f"nodes/{node_id_of(api, node, site)}/revoke", dry_run=dry_run)
    return Shown(data=revoked, text=tried(dry_run, f"Node {revoked['name']} of {revoked['site']} is revoked."))


command(site, "approval")(site_approval)
command(node, "pending")(node_pending)
command(node, "approve")(node_approve)
command(node, "reject")(node_reject)
command(node, "drain")(node_drain)
command(node, "log")(node_log)


@command(policy, "check")
def policy_check(api: ApiClient, file: Path) -> Shown:
    """Say what an edge would say of a policy. Keeps nothing."""
    found = api.post_yaml("policies/check", document_of(file))["diagnostics"]
    ok = not any(one["severity"] == "error" for one in found)
    return Shown(data={"diagnostics": found}, text=findings(found, str(file)) or f"{file} is good.", ok=ok)


@command(policy, "publish")
def policy_publish(api: ApiClient, site: str, file: Path, dry_run: DryRun = False) -> Shown:
    """Upload a policy as the site's next version and let the site run it. A dry run stops before the second step."""
    try:
        uploaded = api.post_yaml(f"sites/{site}/policies", document_of(file), dry_run=dry_run)
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


command(policy, "diff")(policy_diff)
command(policy, "drift")(policy_drift)
command(policy, "effective")(policy_effective)
command(policy, "preview")(policy_preview)


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
