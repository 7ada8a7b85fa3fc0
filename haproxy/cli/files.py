"""`run`, `check` and `render`: the manager itself, and what it would make of a pool file."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from haproxy.cli.options import DEFAULT_DATA_DIR, DEFAULT_PROGRAM, DataDir, Json, Program, places_of
from haproxy.errors import SettingsError
from haproxy.logs import configure_logs
from haproxy.manager import wanted
from haproxy.manager.process import Haproxy
from haproxy.places import Places
from haproxy.pool.keepalived import render_keepalived
from haproxy.pool_file import read_pool_file
from haproxy.running import Running
from haproxy.running import run as run_manager

PoolFileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="A pool file.")]


def run(
    data_dir: DataDir = DEFAULT_DATA_DIR,
    pool: Annotated[
        Path | None, typer.Option("--pool", metavar="FILE", help="Follow this file, and no control plane.")
    ] = None,
    node_data_dir: Annotated[
        Path | None,
        typer.Option("--node-data-dir", metavar="DIR", help="Of the node on this box: take pools from its centre."),
    ] = None,
    http: Annotated[
        str, typer.Option("--http", metavar="HOST:PORT", help="Health, status and metrics.")
    ] = "127.0.0.1:8043",
    haproxy: Program = DEFAULT_PROGRAM,
    master: Annotated[
        Path | None,
        typer.Option("--master-socket", metavar="PATH", help="Manage the HAProxy that listens here, and start none."),
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--haproxy-config", metavar="FILE", help="The file that this HAProxy reads.")
    ] = None,
    stop_haproxy: Annotated[
        bool, typer.Option("--stop-haproxy", help="Let HAProxy end with the manager; else modalities go on.")
    ] = False,
) -> None:
    """Keep this site's HAProxy as its pools ask for, until SIGTERM. Prints `ready http=HOST:PORT` when it does."""
    if (master is None) is not (config is None):
        raise SettingsError("--master-socket and --haproxy-config belong together", hint="Give both, or none.")
    if pool is not None and node_data_dir is not None:
        raise SettingsError(
            "--pool and --node-data-dir were both given", hint="Pools have one source: give one of them."
        )
    configure_logs()
    places = Places(data_dir=data_dir.absolute(), haproxy=haproxy, attached_master=master, attached_config=config)
    asked = Running(places=places, pool_file=pool, node_data_dir=node_data_dir, http=http, stop_haproxy=stop_haproxy)
    run_manager(asked, lambda address: print(f"ready http={address}", flush=True))


def check(file: PoolFileArgument, haproxy: Program = DEFAULT_PROGRAM, as_json: Json = False) -> None:
    """Judge a pool file as the manager would, with HAProxy's own check. Changes nothing."""
    document = read_pool_file(file).document
    with tempfile.TemporaryDirectory(prefix="skerry-") as folder:
        places = places_of(Path(folder), haproxy)
        places.candidate.write_text(wanted.text_of(document, places), encoding="utf-8")
        Haproxy(places).check(places.candidate)
    listeners = [
        f"{pool.name}.{listener.name} on {listener.bind}" for pool in document.pools for listener in pool.listeners
    ]
    if as_json:
        print(json.dumps({"good": True, "listeners": listeners}))
    else:
        print("\n".join([f"{file.name} is good: {len(listeners)} listeners", *(f"  {one}" for one in listeners)]))


def keepalived(
    file: PoolFileArgument,
    host: Annotated[str, typer.Option("--host", help="The address of the HAProxy host that this is for.")],
    pool: Annotated[str | None, typer.Option("--pool", help="Which one, where several share addresses.")] = None,
) -> None:
    """Print keepalived's configuration for one of the hosts that share the address of a pool."""
    document = read_pool_file(file).document
    sharing = [one for one in document.pools if one.shared_address is not None and pool in (None, one.name)]
    if len(sharing) != 1:
        names = ", ".join(one.name for one in sharing)
        raise SettingsError(
            f"several pools share an address: {names}" if sharing else f"no such pool of {file.name} shares an address",
            hint="Say which with --pool." if sharing else "Give the pool a shared_address; docs/pools.md has one.",
        )
    try:
        print(render_keepalived(sharing[0], host), end="")
    except LookupError as error:
        raise SettingsError(str(error.args[0]), hint="Give --host as shared_address.hosts has it.") from error


def render(file: PoolFileArgument, data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Print the configuration that a pool file becomes."""
    print(wanted.text_of(read_pool_file(file).document, places_of(data_dir)), end="")
