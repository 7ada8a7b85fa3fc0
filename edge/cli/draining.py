"""`skerry-edge drain`: let a node stand aside, and take it back."""

from __future__ import annotations

import getpass
import json
from datetime import UTC, datetime
from typing import Annotated

import typer

from edge.cli.options import DataDir, DryRun, Json
from edge.errors import SettingsError


def drain(
    data_dir: DataDir,
    end: Annotated[bool, typer.Option("--end", help="Take associations again.")] = False,
    reason: Annotated[str, typer.Option("--reason", help="Why, for the audit; no patient data.")] = "",
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Take no new associations from now on, and deliver what is held. Stays so over restarts, until --end."""
    from edge.draining import Draining

    if not data_dir.is_dir():
        raise SettingsError(f"{data_dir} is no data directory", hint="Give the --data-dir of a node.")
    draining = Draining(data_dir)
    changes = draining.is_on() is end
    if changes and not dry_run:
        who = getpass.getuser()
        _ = draining.end() if end else draining.begin(by=who, reason=reason, now=datetime.now(UTC))
        if (data_dir / "edge.db").exists():
            from edge.buffer.hand import Hand

            Hand(data_dir, who=who).note("drain ended" if end else "drain", reason)
    if as_json:
        print(json.dumps({"draining": draining.is_on(), "changes": changes, "dry_run": dry_run}, indent=2))
    elif not changes:
        print("this node takes associations already" if end else "this node drains already")
    else:
        verb = "would take" if dry_run else "takes"
        print(f"this node {verb} {'associations again' if end else 'no new associations; see `skerry-edge status`'}")
