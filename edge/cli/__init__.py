"""`skerry-edge`: data on standard output, talk on standard error.

Exit codes: 0 done, 1 it failed or was found wrong, 2 it was asked for in the wrong way, 3 nothing is known under
that name.
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from typing import Annotated

import typer

from edge.cli import draining, echo, gathering, hand, look, policy, run
from edge.ending import ending_of
from edge.errors import EdgeError
from edge.logs import configure_logs

app = typer.Typer(
    name="skerry-edge",
    help="An edge node: takes custody of DICOM instances, routes them by policy, and delivers them.",
    no_args_is_help=True,
    invoke_without_command=True,
    add_completion=True,
    pretty_exceptions_enable=False,
)
app.command("run")(run.run)
app.command("enrol")(run.enrol_node)
app.command("status")(look.status)
app.command("queue")(look.queue)
app.command("trace")(look.trace)
app.command("echo")(echo.echo)
app.command("requeue")(hand.requeue)
app.command("release")(hand.release)
app.command("force")(gathering.force)
app.command("hold")(hand.hold)
app.command("discard")(hand.discard)
app.command("reroute")(hand.reroute)
app.command("fix")(hand.fix)
app.command("audit")(hand.audit)
app.command("drain")(draining.drain)
app.command("rebuild")(run.rebuild)
app.add_typer(policy.app, name="policy")


@app.callback()
def _options(
    tell_version: Annotated[bool, typer.Option("--version", help="Say the version and end.", is_eager=True)] = False,
) -> None:
    if tell_version:
        print(version("skerry"))
        raise typer.Exit


def main() -> None:
    """Run the program; every error that the edge can name ends as one sentence and a hint."""
    configure_logs(quiet=True)
    try:
        app()
    except (EdgeError, OSError) as error:
        ending = ending_of(error)
        if isinstance(error, EdgeError) and "--json" in sys.argv:
            print(json.dumps({"error": ending.text, "hint": ending.hint}))
        ending.tell()
        sys.exit(ending.code)
