"""The commands that work beside a control plane, on its own machine: backup, restore, doctor, forget."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from control.clock import utcnow
from control.console import AsJson, DryRun
from control.settings import Settings, load_settings

DataDir = Annotated[Path | None, typer.Option(help="The control plane's data directory.")]
UrlFile = Annotated[Path | None, typer.Option(help="The file with the PostgreSQL URL. Without it: SQLite.")]
Config = Annotated[Path | None, typer.Option(help="The TOML file that `run` is given.")]


def backup(
    out: Annotated[Path, typer.Argument(help="The file to write. None is overwritten.")],
    data_dir: DataDir = None,
    database_url_file: UrlFile = None,
    config: Config = None,
    keys_only: Annotated[bool, typer.Option("--keys-only", help="Without the database.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write the mesh's keys and the database into one file; the control plane may run meanwhile. Keep it secret."""
    from control.backups.service import back_up

    manifest = back_up(_settings(data_dir, database_url_file, config), out, utcnow(), keys_only=keys_only)
    size = out.stat().st_size
    if as_json:
        typer.echo(json.dumps({"file": str(out), "bytes": size, **asdict(manifest)}, indent=2))
    else:
        held = "keys and database" if manifest.holds_database else "keys only"
        typer.echo(f"{out} holds the {held}, {size} bytes. Whoever has it can be this mesh: keep it where keys belong.")


def restore(
    archive: Annotated[Path, typer.Argument(help="What `backup` wrote.")],
    data_dir: Annotated[Path, typer.Option(help="An empty directory for the control plane.")],
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Bring a control plane back from a backup. Overwrites nothing."""
    from control.backups.service import restore as bring_back

    manifest, dump = bring_back(archive, data_dir, dry_run=dry_run)
    if as_json:
        typer.echo(json.dumps({"dry_run": dry_run, "dump": str(dump) if dump else None, **asdict(manifest)}, indent=2))
        return
    verb = "would be" if dry_run else "is"
    typer.echo(f"The mesh of {manifest.created_at[:19]}Z {verb} in {data_dir}; every byte is what was written.")
    if dump is not None:
        typer.echo(
            f"Now bring the database back: pg_restore --clean --if-exists --dbname=NAME {dump}, then delete that file."
        )


def doctor(
    data_dir: DataDir = None,
    database_url_file: UrlFile = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Look at everything that a control plane needs on its machine. Changes nothing; 1 when it cannot work."""
    from control.doctor import Verdict, examine

    found = examine(_settings(data_dir, database_url_file, config), utcnow())
    if as_json:
        typer.echo(json.dumps([asdict(one) for one in found], indent=2))
    else:
        for one in found:
            typer.echo(f"{one.verdict:4}  {one.what}: {one.text}")
            if one.hint:
                typer.echo(f"      {one.hint}")
    if any(one.verdict is Verdict.FAIL for one in found):
        raise typer.Exit(1)


def forget(
    older_than: Annotated[str, typer.Option(help="So long after their last image, in days, such as 730d.")],
    data_dir: DataDir = None,
    database_url_file: UrlFile = None,
    config: Config = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Forget what is known of old studies of which nothing is left to do. Images are not touched."""
    from control.forgetting.command import run

    found = run(_settings(data_dir, database_url_file, config), older_than, dry_run=dry_run)
    if as_json:
        typer.echo(json.dumps({"dry_run": dry_run, **asdict(found)}, indent=2))
        return
    verb = "would be" if dry_run else "are"
    typer.echo(f"{found.studies} studies {verb} forgotten, with {found.instances} images and their deliveries.")


def _settings(data_dir: Path | None, url_file: Path | None, config: Path | None) -> Settings:
    return load_settings({"data_dir": data_dir, "database_url_file": url_file}, os.environ, config)


LOCAL: dict[str, Callable[..., None]] = {"backup": backup, "restore": restore, "doctor": doctor, "forget": forget}
