"""`skerry-edge run`, `enrol` and `rebuild`: the commands that own the data directory.

A node is to serve soon, so `run` loads neither policy nor link: the functions that need them import them.
"""

from __future__ import annotations

import json
import os
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from edge.buffer.database import check_usable
from edge.cli.options import DataDir, DryRun, Json
from edge.cli.policy import read_document
from edge.data_dir import lock_data_dir
from edge.errors import SettingsError
from edge.processes.launch import Launch
from edge.settings import load_settings

Config = Annotated[Path | None, typer.Option("--config", help="TOML file with the settings.")]
PolicyFile = Annotated[
    Path | None, typer.Option("--policy", help="Route by this file, whatever the centre says; not with --to.")
]
To = Annotated[
    list[str] | None,
    typer.Option(
        "--to", metavar="AETITLE@HOST:PORT", help="Send everything to this PACS. May repeat; not with --policy."
    ),
]


def run(
    data_dir: DataDir,
    listen: Annotated[
        str | None,
        typer.Option("--listen", metavar="HOST:PORT", help="Where modalities send to. [default: 0.0.0.0:11112]"),
    ] = None,
    http: Annotated[
        str | None, typer.Option("--http", metavar="HOST:PORT", help="Health and metrics. [default: 127.0.0.1:8042]")
    ] = None,
    ae_title: Annotated[
        str | None, typer.Option("--ae-title", help="Our AE title; every called AE is accepted. [default: SKERRY]")
    ] = None,
    policy: PolicyFile = None,
    to: To = None,
    config: Config = None,
) -> None:
    """Receive, route and deliver until SIGTERM. Prints `ready dicom=HOST:PORT http=HOST:PORT` when it serves."""
    settings = load_settings(
        config=config,
        environment=os.environ,
        flags={"data_dir": data_dir, "listen": listen, "http": http, "ae_title": ae_title},
    )
    check_usable(settings.data_dir / "edge.db")
    become_supervisor(Launch(settings=settings, policy=local_policy(policy, to)))


def become_supervisor(launch: Launch) -> NoReturn:
    """Go on as the supervisor of a node, in the same process: what the commands have loaded is given back."""
    document = launch.inheritable()
    os.set_inheritable(document, True)
    sys.stdout.flush()
    # -P: the folder in which somebody starts a node is no place to load programs from.
    os.execv(sys.executable, [sys.executable, "-P", "-m", "edge.processes", "supervisor", str(document)])  # noqa: S606


def local_policy(policy: Path | None, to: list[str] | None) -> str | None:
    """The policy that the command line asks for; without one, an enrolled node follows its centre, another buffers.

    Core says whether it may run.

    Raises:
        SettingsError: both ways of giving one were used.
        PolicyError: a peer is not named as it should be.
    """
    if policy is not None and to:
        raise SettingsError("--policy and --to were both given", hint="Give one of them.")
    if policy is not None:
        return read_document(policy)
    if to:
        from edge.policy.quickstart import everything_to

        return everything_to(to)
    return None


def enrol_node(
    data_dir: DataDir,
    token_file: Annotated[
        str, typer.Option("--token-file", metavar="FILE|-", help="The join token; - reads it from standard input.")
    ],
    name: Annotated[
        str, typer.Option("--name", help="What people call this box: lower-case letters, digits and hyphens.")
    ] = re.sub("[^a-z0-9]+", "-", os.uname().nodename.lower())[:63].strip("-") or "edge",
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Wait for approval where it is needed, or end and come again.")
    ] = True,
    as_json: Json = False,
) -> None:
    """Make this box a node of a mesh, with a one-time token from its control plane."""
    from edge.cli.enrolling import Patience
    from edge.sync.enrol import enrol, nobody_waits

    try:
        token = sys.stdin.read() if token_file == "-" else Path(token_file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{token_file} cannot be read: {error}", hint="Give the file with the token.") from error
    patience = Patience(data_dir, name)
    identity = enrol(data_dir, token.strip(), name, wait=patience.wait if wait else nobody_waits)
    patience.release()
    facts = {"node_id": identity.node_id, "site": identity.site, "node_name": identity.node_name}
    print(json.dumps(facts) if as_json else f"enrolled as {identity.node_name} ({identity.node_id}) of {identity.site}")


def rebuild(
    data_dir: DataDir, policy: PolicyFile = None, to: To = None, dry_run: DryRun = False, as_json: Json = False
) -> None:
    """Make the index anew from the spool. What the spool still holds is routed and delivered again.

    Without --policy, --to or a policy of the centre, it waits in the index for the next start with one.
    """
    from edge.buffer.spool import Spool
    from edge.node import Node
    from edge.policy.document import load_policy

    if not (data_dir / "spool").is_dir():
        raise SettingsError(f"{data_dir} holds no spool", hint="Give the --data-dir of a node.")
    text = local_policy(policy, to)
    asked_for = None if text is None else load_policy(text)
    if dry_run:
        sealed = sum(1 for _ in Spool(data_dir / "spool").instance_ids())
        facts: dict[str, object] = {"spool_files": sealed, "dry_run": True}
    else:
        lock = lock_data_dir(data_dir)
        kept = _move_index_aside(data_dir)
        settings = load_settings(config=None, environment={}, flags={"data_dir": data_dir, "http": "127.0.0.1:0"})
        found = Node(settings, asked_for).rebuild()
        lock.close()
        facts = {"adopted": found.adopted, "unfinished": found.unfinished, "damaged": found.damaged, "old_index": kept}
    if as_json:
        print(json.dumps(facts))
    else:
        print(
            "\n".join(f"{key.replace('_', ' ')}: {'none' if value is None else value}" for key, value in facts.items())
        )


def _move_index_aside(data_dir: Path) -> str | None:
    stamp = f"{datetime.now(UTC):%Y%m%dT%H%M%S}"
    kept = None
    for suffix in ("-shm", "-wal", ""):
        path = data_dir / f"edge.db{suffix}"
        if path.exists():
            target = data_dir / f"edge.db.before-rebuild-{stamp}{suffix}"
            path.rename(target)
            kept = str(target)
    return kept
