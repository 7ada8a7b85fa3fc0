"""`skerry-edge`: data on standard output, talk on standard error.

Exit codes: 0 done, 1 it failed, 2 it was asked for in the wrong way, 3 nothing is known under that name.
"""

from __future__ import annotations

import json
import sys

import typer

from edge.cli import look, policy, run
from edge.errors import EdgeError, SettingsError, UnknownInstance
from edge.logs import configure_logs

app = typer.Typer(
    name="skerry-edge",
    help="An edge node: takes custody of DICOM instances, routes them by policy, and delivers them.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
)
app.command("run")(run.run)
app.command("enrol")(run.enrol_node)
app.command("status")(look.status)
app.command("queue")(look.queue)
app.command("trace")(look.trace)
app.command("requeue")(look.requeue)
app.command("rebuild")(run.rebuild)
app.add_typer(policy.app, name="policy")


def main() -> None:
    """Run the program; every error that the edge can name ends as one sentence and a hint."""
    configure_logs()
    try:
        app()
    except EdgeError as error:
        if "--json" in sys.argv:
            print(json.dumps({"error": str(error), "hint": error.hint}))
        print(f"skerry-edge: {error}", file=sys.stderr)
        if error.hint:
            print(f"  {error.hint}", file=sys.stderr)
        sys.exit(_exit_code(error))


def _exit_code(error: EdgeError) -> int:
    match error:
        case UnknownInstance():
            return 3
        case SettingsError():
            return 2
        case _:
            return 1
