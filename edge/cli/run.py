"""`skerry-edge run`, `enrol` and `rebuild`: the commands that own the data directory."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from edge.cli.options import DataDir, DryRun, Json
from edge.cli.policy import read_document
from edge.errors import SettingsError
from edge.logs import configure_logs
from edge.node import Node, lock_data_dir
from edge.policy.document import Policy, load_policy
from edge.policy.quickstart import everything_to
from edge.settings import load_settings
from edge.sync.enrol import enrol

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


STOP_SECONDS = 9.0
"""After so long a stop ends whatever hangs; everything acknowledged is in the spool already."""


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
    configure_logs()
    settings = load_settings(
        config=config,
        environment=os.environ,
        flags={"data_dir": data_dir, "listen": listen, "http": http, "ae_title": ae_title},
    )
    stopping = threading.Event()
    threading.Thread(target=_end_what_hangs, args=(stopping,), daemon=True).start()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    node = Node(settings, local_policy(policy, to))
    dicom, local_http = node.start()
    print(f"ready dicom={dicom[0]}:{dicom[1]} http={local_http[0]}:{local_http[1]}", flush=True)
    stopping.wait()
    node.stop()
    # What is left are library threads that may sit in a connect; everything of ours is settled and closed.
    sys.stdout.flush()
    os._exit(0)


def _end_what_hangs(stopping: threading.Event) -> None:
    """End the process a while after it was asked to, be it in the middle of its start."""
    stopping.wait()
    time.sleep(STOP_SECONDS)
    os._exit(1)


def local_policy(policy: Path | None, to: list[str] | None) -> Policy | None:
    """The policy that the command line asks for; without one, an enrolled node follows its centre, another buffers.

    Raises:
        SettingsError: both ways of giving one were used.
        PolicyError: it must not run.
    """
    if policy is not None and to:
        raise SettingsError("--policy and --to were both given", hint="Give one of them.")
    if policy is not None:
        return load_policy(read_document(policy))
    if to:
        return load_policy(everything_to(to))
    return None


def enrol_node(
    data_dir: DataDir,
    token_file: Annotated[
        str, typer.Option("--token-file", metavar="FILE|-", help="The join token; - reads it from standard input.")
    ],
    name: Annotated[
        str, typer.Option("--name", help="What people call this box: lower-case letters, digits and hyphens.")
    ] = re.sub("[^a-z0-9]+", "-", os.uname().nodename.lower())[:63].strip("-") or "edge",
    as_json: Json = False,
) -> None:
    """Make this box a node of a mesh, with a one-time token from its control plane."""
    try:
        token = sys.stdin.read() if token_file == "-" else Path(token_file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{token_file} cannot be read: {error}", hint="Give the file with the token.") from error
    lock = lock_data_dir(data_dir)
    identity = enrol(data_dir, token.strip(), name)
    lock.close()
    facts = {"node_id": identity.node_id, "site": identity.site, "node_name": identity.node_name}
    print(json.dumps(facts) if as_json else f"enrolled as {identity.node_name} ({identity.node_id}) of {identity.site}")


def rebuild(
    data_dir: DataDir, policy: PolicyFile = None, to: To = None, dry_run: DryRun = False, as_json: Json = False
) -> None:
    """Make the index anew from the spool. What the spool still holds is routed and delivered again.

    Without --policy, --to or a policy of the centre, it waits in the index for the next start with one.
    """
    if not (data_dir / "spool").is_dir():
        raise SettingsError(f"{data_dir} holds no spool", hint="Give the --data-dir of a node.")
    if dry_run:
        facts: dict[str, object] = {"spool_files": len(list(data_dir.glob("spool/*/*.dcm"))), "dry_run": True}
    else:
        lock_data_dir(data_dir).close()
        kept = _move_index_aside(data_dir)
        settings = load_settings(config=None, environment={}, flags={"data_dir": data_dir, "http": "127.0.0.1:0"})
        node = Node(settings, local_policy(policy, to))
        found = node.rebuild()
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
