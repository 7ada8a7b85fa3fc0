"""`skerry-edge policy`: try a policy before it is trusted."""

from __future__ import annotations

import json
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from edge.cli import trial
from edge.cli.documents import read_document
from edge.cli.options import Json
from edge.cli.override import override
from edge.cli.words import counted

__all__ = ["app", "read_document"]

app = typer.Typer(help="Look at a policy document without running it, or run one for a while.", no_args_is_help=True)


@app.command("check")
def check(
    file: Annotated[Path, typer.Argument(help="A policy document (YAML), or - for standard input.")],
    as_json: Json = False,
    listen: Annotated[
        str,
        typer.Option(
            envvar="SKERRY_EDGE_LISTEN", help="HOST:PORT of the node that would run it: it may not be a destination."
        ),
    ] = "",
    http: Annotated[
        str, typer.Option(envvar="SKERRY_EDGE_HTTP", help="HOST:PORT of its HTTP: no destination either.")
    ] = "",
) -> None:
    """Say whether FILE would run, with line and column of everything that is wrong or odd."""
    from edge.forward.ourselves import leads_by_name
    from edge.policy.document import check_policy

    found = check_policy(
        read_document(file),
        listen=listen,
        http=http,
        leads=leads_by_name,
        codecs=find_spec("gdcm") is not None,
    )
    errors = sum(1 for one in found if one.severity == "error")
    if as_json:
        print(json.dumps({"valid": not errors, "diagnostics": [asdict(one) for one in found]}, indent=2))
    else:
        for one in found:
            print(f"{file}:{one.line}:{one.column}: {one.severity}: {one.message}")
            if one.hint:
                print(f"    {one.hint}")
        verdict = f"not valid, {counted(errors, 'error')}" if errors else "valid"
        print(f"{file}: {verdict}, {counted(len(found) - errors, 'warning')}")
    raise typer.Exit(1 if errors else 0)


app.command("explain")(trial.explain)
app.command("replay")(trial.replay)
app.command("override")(override)
