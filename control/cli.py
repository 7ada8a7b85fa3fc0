"""The command line `skerry-control`: run the control plane, or speak to one that runs.

Exit codes: 0 done, 1 it failed or was found wrong, 2 it was asked for in the wrong way, 3 nothing is known under
that name, 4 it does not fit what is there, 5 the control plane does not answer.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from control import logs
from control.client import Problem, Unreachable
from control.clock import utcnow
from control.commands import GROUPS
from control.console import command
from control.errors import ControlError, NotFound, SettingsError
from control.local_commands import LOCAL
from control.search_commands import SEARCHES
from control.settings import load_settings
from control.words import faults, findings

app = typer.Typer(
    no_args_is_help=True, invoke_without_command=True, add_completion=False, pretty_exceptions_enable=False
)

# Exit codes, the same for every command.
FAILED = 1
USAGE = 2
NOT_FOUND = 3
CONFLICT = 4
UNREACHABLE = 5

ASKED_WRONGLY = frozenset({"INVALID_REQUEST", "INVALID_FILTER", "INVALID_QUERY", "INVALID_NAME"})
"""Problems that lie in the words of the command."""


@app.callback()
def skerry_control(
    tell_version: Annotated[bool, typer.Option("--version", help="Say the version and end.", is_eager=True)] = False,
) -> None:
    """The control plane of a Skerry mesh."""
    if tell_version:
        print(version("skerry"))
        raise typer.Exit


@app.command()
def run(
    data_dir: Annotated[Path | None, typer.Option(help="Keys, certificates, SQLite.")] = None,
    http: Annotated[str | None, typer.Option(metavar="HOST:PORT", help="Plain HTTP, loopback only.")] = None,
    https: Annotated[str | None, typer.Option(metavar="HOST:PORT", help="API and enrolment.")] = None,
    grpc: Annotated[str | None, typer.Option(metavar="HOST:PORT", help="The nodes' door, mutual TLS.")] = None,
    public_host: Annotated[str | None, typer.Option(metavar="HOST", help="How nodes reach this machine.")] = None,
    database_url_file: Annotated[
        Path | None, typer.Option(help="A file with a PostgreSQL URL. Without it: SQLite.")
    ] = None,
    mqtt: Annotated[str | None, typer.Option(metavar="HOST:PORT", help="The mesh's broker, if any.")] = None,
    behind_proxy: Annotated[
        bool | None, typer.Option("--behind-proxy", help="A TLS proxy stands before --http.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="A TOML file with the same settings.")] = None,
) -> None:
    """Serve until SIGTERM. Prints one line when everything is up.

    Every setting can stand in the environment as SKERRY_CONTROL_NAME or in the file of --config.
    """
    from control import server  # heavy, and the client commands do not need it

    flags = {
        "data_dir": data_dir,
        "http": http,
        "https": https,
        "grpc": grpc,
        "public_host": public_host,
        "database_url_file": database_url_file,
        "mqtt": mqtt,
        "behind_proxy": behind_proxy,
    }
    settings = load_settings(flags, os.environ, config)
    os.umask(0o077)  # the database names patients
    logs.configure()
    asyncio.run(server.run(settings, announce=lambda line: print(line, flush=True)))


@app.command()
def issue_broker_certificate(
    data_dir: Annotated[Path, typer.Option(help="The control plane's data directory.")],
    host: Annotated[str, typer.Option(help="Name or address under which clients reach the broker.")],
    out: Annotated[Path, typer.Option(help="Folder for ca.pem, broker.pem and broker-key.pem.")],
) -> None:
    """Write a server certificate for the mesh's broker. Works while the control plane is stopped."""
    from control.enrolment.ca_files import PASSPHRASE_FILE_VARIABLE, load_or_create, read_passphrase, write_durably
    from control.enrolment.own_certificates import LOCAL_HOSTS, issue_server

    passphrase_file = os.environ.get(PASSPHRASE_FILE_VARIABLE)
    passphrase = read_passphrase(Path(passphrase_file) if passphrase_file else None)
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    keys = load_or_create(data_dir / "ca", passphrase, utcnow())
    out.mkdir(parents=True, exist_ok=True)
    write_durably(out / "ca.pem", keys.authority.pem, mode=0o644)
    made = issue_server(out, "broker", keys.authority, (host, *LOCAL_HOSTS), utcnow())
    print(f"{made.certificate_file} is good until {made.ends:%Y-%m-%d}.")


for name, local in LOCAL.items():
    app.command(name)(local)
for name, group in GROUPS.items():
    app.add_typer(group, name=name)
for name, function in SEARCHES.items():
    command(app, name)(function)


def _exit_code(error: ControlError) -> int:
    match error:
        case SettingsError():
            return USAGE
        case Problem(code=code) if code in ASKED_WRONGLY:
            return USAGE
        case Unreachable():
            return UNREACHABLE
        case Problem(status=404) | NotFound():
            return NOT_FOUND
        case Problem(status=409):
            return CONFLICT
        case _:
            return FAILED


def main() -> None:
    """The entry point: errors of ours become a few lines on stderr and an exit code."""
    try:
        app()
    except ControlError as error:
        if "--json" in sys.argv:
            print(json.dumps(_problem(error), indent=2))
        _tell(error)
        sys.exit(_exit_code(error))


def _problem(error: ControlError) -> dict[str, object]:
    if isinstance(error, Problem) and error.document:
        return error.document
    return {"title": str(error), "code": error.code, "hint": error.hint}


def _tell(error: ControlError) -> None:
    lines = [f"skerry-control: {error}"]
    document = error.document if isinstance(error, Problem) else {}
    lines += [f"  {one}" for one in faults(document.get("errors", ()))]
    if error.hint:
        lines.append(f"  {error.hint}")
    if isinstance(error, Problem) and "diagnostics" in document:
        lines.append(findings(document["diagnostics"], error.subject or "policy"))
    print("\n".join(lines), file=sys.stderr)
