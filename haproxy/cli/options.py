"""The options that several commands share."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import Annotated

import typer

from haproxy.places import Places

DEFAULT_DATA_DIR = Path("/var/lib/skerry-haproxy")

DataDir = Annotated[
    Path,
    typer.Option("--data-dir", envvar="SKERRY_HAPROXY_DATA_DIR", help="Where the manager keeps what outlives it."),
]
Json = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would happen; change nothing.")]
Program = Annotated[str, typer.Option("--haproxy", help="The HAProxy program.")]
DEFAULT_PROGRAM = "/usr/sbin/haproxy"


def places_of(data_dir: Path, program: str = DEFAULT_PROGRAM) -> Places:
    """The files in a data directory, by their whole names: HAProxy works in another one."""
    return Places(data_dir=data_dir.absolute(), haproxy=program)


def who() -> str:
    """Who gives the command, for the record."""
    return getpass.getuser()
