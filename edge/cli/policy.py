"""`skerry-edge policy`: try a policy before it is trusted."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from edge.cli.options import Json
from edge.cli.words import counted
from edge.errors import SettingsError

app = typer.Typer(help="Look at a policy document without running it.", no_args_is_help=True)


def read_document(path: Path) -> str:
    """The text of a policy file, or of standard input for `-`.

    Raises:
        SettingsError: it cannot be read as UTF-8 text.
    """
    try:
        return sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8")
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}", hint="Give a file that is there.") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path} cannot be read: {error}", hint="Give a UTF-8 text file.") from error


@app.command("check")
def check(
    file: Annotated[Path, typer.Argument(help="A policy document (YAML), or - for standard input.")],
    as_json: Json = False,
) -> None:
    """Say whether FILE would run, with line and column of everything that is wrong or odd."""
    from edge.policy.document import check_policy

    found = check_policy(read_document(file))
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


@app.callback()
def _group() -> None:
    """Keep `check` a subcommand."""
