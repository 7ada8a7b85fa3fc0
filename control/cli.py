"""The command line `skerry-control`: run the control plane, or speak to one that runs."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from control import logs
from control.errors import ControlError, SettingsError
from control.settings import load_settings

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

FAILED = 1
USAGE = 2


@app.callback()
def skerry_control() -> None:
    """The control plane of a Skerry mesh."""


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
    logs.configure()
    asyncio.run(server.run(settings, announce=lambda line: print(line, flush=True)))


def main() -> None:
    """The entry point: errors of ours become two lines on stderr and an exit code."""
    try:
        app()
    except ControlError as error:
        print(f"skerry-control: {error}", file=sys.stderr)
        if error.hint:
            print(f"  {error.hint}", file=sys.stderr)
        sys.exit(USAGE if isinstance(error, SettingsError) else FAILED)
