"""The commands about people and programs: accounts, their roles and sessions, and API keys."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from control.client import ApiClient
from control.console import DryRun, Shown, command, tried
from control.errors import SettingsError
from control.words import table

user = typer.Typer(no_args_is_help=True, help="People who log in, and what they may do at which sites.")
api_key = typer.Typer(no_args_is_help=True, help="Keys for programs.")

Role = Annotated[str, typer.Option(help="viewer, operator, site-admin, admin or auditor.")]
AtSites = Annotated[list[str] | None, typer.Option("--site", help="Only at this site; can be repeated.")]
NewPassword = Annotated[
    Path, typer.Option(metavar="FILE|-", help="A file with the new password; - reads it from standard input.")
]


@command(user, "add")
def user_add(
    api: ApiClient,
    name: str,
    new_password_file: NewPassword,
    role: Annotated[str | None, typer.Option(help="A first role; `user grant` adds more.")] = None,
    site: AtSites = None,
    dry_run: DryRun = False,
) -> Shown:
    """Add an account."""
    if site and role is None:
        raise SettingsError("A site says where a role counts.", hint="Give --role as well.")
    grants = [{"role": role, "site": one} for one in site or (None,)] if role is not None else []
    body = {"name": name, "password": _password(new_password_file), "grants": grants}
    made = api.post("users", body, dry_run=dry_run)
    return Shown(data=made, text=tried(dry_run, f"{name} can log in: {_words(made)}."))


@command(user, "list")
def user_list(api: ApiClient) -> Shown:
    """List all accounts with their roles."""
    found = list(api.items("users"))
    rows = [one | {"roles": _words(one)} for one in found]
    return Shown(data=found, text=table(rows, ("name", "roles", "created_at", "disabled_at")))


@command(user, "set-password")
def user_set_password(api: ApiClient, name: str, new_password_file: NewPassword, dry_run: DryRun = False) -> Shown:
    """Give an account another password. Its open sessions end."""
    body = {"password": _password(new_password_file)}
    changed = api.post(f"users/{name}/password", body, dry_run=dry_run)
    return Shown(data=changed, text=tried(dry_run, f"{name} has a new password; open sessions of {name} ended."))


@command(user, "grant")
def user_grant(api: ApiClient, name: str, role: str, site: AtSites = None, dry_run: DryRun = False) -> Shown:
    """Give a role, everywhere or at the sites that are named."""
    return _change(api, "grant", name, role, site, dry_run)


@command(user, "revoke")
def user_revoke(api: ApiClient, name: str, role: str, site: AtSites = None, dry_run: DryRun = False) -> Shown:
    """Take a role back: the one that counts everywhere, or those at the sites that are named."""
    return _change(api, "revoke", name, role, site, dry_run)


def _change(api: ApiClient, word: str, name: str, role: str, sites: list[str] | None, dry_run: bool) -> Shown:
    changed: Any = None
    for site in sites or (None,):
        changed = api.post(f"users/{name}/{word}", {"role": role, "site": site}, dry_run=dry_run)
    return Shown(data=changed, text=tried(dry_run, f"{name} is now: {_words(changed)}."))


@command(user, "disable")
def user_disable(api: ApiClient, name: str, dry_run: DryRun = False) -> Shown:
    """Keep an account out from now on. Its open sessions end."""
    changed = api.post(f"users/{name}/disable", dry_run=dry_run)
    return Shown(data=changed, text=tried(dry_run, f"{name} cannot log in any more."))


@command(user, "enable")
def user_enable(api: ApiClient, name: str, dry_run: DryRun = False) -> Shown:
    """Let an account in again."""
    changed = api.post(f"users/{name}/enable", dry_run=dry_run)
    return Shown(data=changed, text=tried(dry_run, f"{name} can log in again."))


@command(user, "sessions")
def user_sessions(
    api: ApiClient, name: Annotated[str | None, typer.Argument(help="Only of this user.")] = None
) -> Shown:
    """List open logins."""
    found = list(api.items("sessions", user=name))
    return Shown(data=found, text=table(found, ("id", "user", "created_at", "expires_at", "address")))


@command(user, "end-session")
def user_end_session(api: ApiClient, session_id: str, dry_run: DryRun = False) -> Shown:
    """End an open login."""
    ended = api.post(f"sessions/{session_id}/end", dry_run=dry_run)
    return Shown(data=ended, text=tried(dry_run, f"The session of {ended['user']} ended."))


@command(api_key, "create")
def api_key_create(
    api: ApiClient,
    name: str,
    role: Role,
    site: AtSites = None,
    days: Annotated[int, typer.Option(help="How long it is good, 1 to 3650; 0 for ever.")] = 365,
    dry_run: DryRun = False,
) -> Shown:
    """Make a key for a program. It is shown once."""
    body = {"name": name, "role": role, "sites": site or None, "days": days or None}
    made = api.post("api-keys", body, dry_run=dry_run)
    return Shown(data=made, text=tried(dry_run, made["key"]))


@command(api_key, "list")
def api_key_list(api: ApiClient) -> Shown:
    """List all keys, without their secrets."""
    found = list(api.items("api-keys"))
    rows = [one | {"roles": _words(one)} for one in found]
    return Shown(data=found, text=table(rows, ("name", "prefix", "roles", "created_at", "expires_at", "revoked_at")))


@command(api_key, "revoke")
def api_key_revoke(api: ApiClient, name: str, dry_run: DryRun = False) -> Shown:
    """Let a key open nothing from now on."""
    revoked = api.post(f"api-keys/{name}/revoke", dry_run=dry_run)
    return Shown(data=revoked, text=tried(dry_run, f"The key {name} opens nothing any more."))


def _words(holder: dict[str, Any]) -> str:
    return " ".join(f"{one['role']}@{one['site'] or '*'}" for one in holder["grants"]) or "no role"


def _password(file: Path) -> str:
    try:
        text = sys.stdin.readline() if str(file) == "-" else file.read_text()
    except OSError as error:
        raise SettingsError(f"The file {file} cannot be read: {error.strerror}.") from None
    return text.rstrip("\r\n")
