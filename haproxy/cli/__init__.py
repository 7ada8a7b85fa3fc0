"""`skerry-haproxy`: data on standard output, talk on standard error.

Exit codes: 0 done, 1 it failed or was found wrong, 2 it was asked for in the wrong way, 3 nothing is known under
that name.
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from typing import Annotated

import typer

from haproxy.cli import files, upgrading, words
from haproxy.errors import HaproxyError, SettingsError, UnknownNode
from haproxy.logs import configure_logs

app = typer.Typer(
    name="skerry-haproxy",
    help="Keeps the HAProxy pools of one site: checked, hitless, and without the centre when it must be.",
    no_args_is_help=True,
    invoke_without_command=True,
    add_completion=True,
    pretty_exceptions_enable=False,
)
app.command("run")(files.run)
app.command("check")(files.check)
app.command("render")(files.render)
app.command("keepalived")(files.keepalived)
app.command("status")(words.status)
app.command("drain")(words.drain)
app.command("ready")(words.ready)
app.command("maint")(words.maint)
app.command("weight")(words.weight)
app.command("retry")(words.retry)
app.command("upgrade")(upgrading.upgrade)


@app.callback()
def _options(
    tell_version: Annotated[bool, typer.Option("--version", help="Say the version and end.", is_eager=True)] = False,
) -> None:
    if tell_version:
        print(version("skerry"))
        raise typer.Exit


def main() -> None:
    """Run the program; every error that the manager can name ends as one sentence and a hint."""
    configure_logs(quiet=True)
    try:
        app()
    except (HaproxyError, OSError) as error:
        text, hint, code = _ending(error)
        if "--json" in sys.argv:
            print(json.dumps({"error": text, "hint": hint}))
        print(f"skerry-haproxy: {text}", file=sys.stderr)
        if hint:
            print(f"  {hint}", file=sys.stderr)
        sys.exit(code)


def _ending(error: HaproxyError | OSError) -> tuple[str, str, int]:
    match error:
        case OSError():
            where = f"{error.filename}: " if error.filename else ""
            return f"{where}{error.strerror or error}", "Check that the path exists and that this user may use it.", 1
        case UnknownNode():
            return str(error), error.hint, 3
        case SettingsError():
            return str(error), error.hint, 2
        case _:
            return str(error), error.hint, 1
