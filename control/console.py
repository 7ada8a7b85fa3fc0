"""What every command of the client side shares: its options, its login, and how it prints."""

from __future__ import annotations

import functools
import inspect
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, get_type_hints

import typer

from control.client import FIRST_USER, ApiClient
from control.errors import SettingsError

Url = Annotated[str, typer.Option(envvar="SKERRY_URL", help="Where the control plane answers.")]
KeyFile = Annotated[Path | None, typer.Option(envvar="SKERRY_API_KEY_FILE", help="A file with an API key.")]
PasswordFile = Annotated[
    Path | None, typer.Option(envvar="SKERRY_PASSWORD_FILE", help="A file with a password; see --user.")
]
CaFile = Annotated[
    Path | None, typer.Option(envvar="SKERRY_CA_FILE", help="The mesh's ca.pem, for an https URL of its own.")
]
UserName = Annotated[str, typer.Option("--user", envvar="SKERRY_USER", help="Whose password --password-file holds.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Change nothing; say what would be.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What a command found: for programs, and for people."""

    data: object
    text: str
    warning: str = ""
    """Goes to standard error, also beside JSON."""
    ok: bool = True
    """False ends with exit code 1."""


def tried(dry_run: bool, text: str) -> str:
    """What a command did; of one that was only tried, what it would have done."""
    return f"Nothing was changed. It would be: {text}" if dry_run else text


def _common(
    *, url: Url = "http://127.0.0.1:8080", api_key_file: KeyFile = None, password_file: PasswordFile = None,
    user_name: UserName = FIRST_USER, ca_file: CaFile = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """The options that every command has: their signature is added to each."""


def command(group: typer.Typer, name: str) -> Callable[[Callable[..., Shown]], Callable[..., Shown]]:
    """Make a command of a function that takes an `ApiClient` first."""

    def decorate(function: Callable[..., Shown]) -> Callable[..., Shown]:
        @functools.wraps(function)
        def run(
            *,
            url: str,
            api_key_file: Path | None,
            password_file: Path | None,
            user_name: str,
            ca_file: Path | None,
            as_json: bool,
            **words: object,
        ) -> None:
            key, password = _secret(api_key_file), _secret(password_file)
            if key is None and password is None:
                raise SettingsError("Who asks is not known.", hint="Give --api-key-file FILE, or --password-file FILE.")
            with ApiClient(url, key=key, user=user_name, password=None if key else password, ca_file=ca_file) as api:
                shown = function(api, **words)
            if shown.warning:
                typer.echo(shown.warning, err=True)
            typer.echo(json.dumps(shown.data, indent=2) if as_json else shown.text)
            if not shown.ok:
                raise typer.Exit(1)

        run.__signature__ = _signature(function)  # type: ignore[attr-defined]
        group.command(name)(run)
        return function

    return decorate


def _signature(function: Callable[..., Shown]) -> inspect.Signature:
    parameters = []
    for source in (function, _common):
        hints = get_type_hints(source, include_extras=True)
        parameters += [
            one.replace(annotation=hints[one.name], kind=inspect.Parameter.KEYWORD_ONLY)
            for one in inspect.signature(source).parameters.values()
            if one.name != "api"
        ]
    return inspect.Signature(parameters)


def _secret(path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        return (sys.stdin.read() if str(path) == "-" else path.read_text()).strip()
    except OSError as error:
        raise SettingsError(f"The file {path} cannot be read: {error.strerror}.") from None


def document_of(file: Path) -> bytes:
    """What is in a file, or comes from standard input for `-`.

    Raises:
        SettingsError: it cannot be read.
    """
    try:
        return sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        raise SettingsError(f"The file {file} cannot be read: {error.strerror}.") from None


def write_secret(path: Path, text: str) -> None:
    """A new file that this account alone can read.

    Raises:
        SettingsError: there is one already, or it cannot be written.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
    except OSError as error:
        raise SettingsError(f"The file {path} cannot be written: {error.strerror}.") from None
