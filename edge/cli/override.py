"""`skerry-edge policy override`: let another policy run for a while, at the site, without the control plane."""

from __future__ import annotations

import getpass
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edge.cli.documents import read_document
from edge.cli.options import DataDir, DryRun, Json
from edge.cli.words import age, duration
from edge.data_dir import is_owned
from edge.errors import SettingsError
from edge.run_dir import FOLLOWS, RunDir

if TYPE_CHECKING:
    from edge.policy_override import Override, OverrideFiles


def override(
    data_dir: DataDir,
    file: Annotated[Path | None, typer.Argument(help="The policy to run (YAML), or - for standard input.")] = None,
    lasts: Annotated[str | None, typer.Option("--for", help="How long: a number and s, m, h or d; 7d at most.")] = None,
    reason: Annotated[str, typer.Option("--reason", help="Why, for the audit and the centre; no patient data.")] = "",
    end: Annotated[bool, typer.Option("--end", help="End the one that runs.")] = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Run FILE instead of the control plane's policy for a while. It ends by itself; without FILE: say what runs."""
    from edge.policy_override import OverrideFiles
    from edge.sync.trust import load_enrolment

    if load_enrolment(data_dir).trust is None:
        raise SettingsError(
            "this node follows no control plane",
            hint="Start it with the policy that it shall run: --policy FILE.",
        )
    files = OverrideFiles(data_dir)
    if end:
        if file is not None or lasts is not None:
            raise SettingsError("--end takes no policy", hint="Leave FILE and --for out.")
        _end(data_dir, files, dry_run=dry_run, as_json=as_json)
    elif file is not None:
        _place(data_dir, files, read_document(file), lasts, reason, dry_run=dry_run, as_json=as_json)
    else:
        _say(told(files), "shown", dry_run=False, as_json=as_json)


def told(files: OverrideFiles) -> dict[str, Any] | None:
    """What runs instead of the control plane's policy, for people; None when nothing does."""
    found = files.read()
    return None if found is None else _shown(found, files.seconds_left(found, datetime.now(UTC)))


def _place(
    data_dir: Path, files: OverrideFiles, text: str, lasts: str | None, reason: str, *, dry_run: bool, as_json: bool
) -> None:
    from edge.policy.document import load_policy
    from edge.policy_override import LONGEST_SECONDS, placed

    _check_follows(data_dir)
    if lasts is None:
        raise SettingsError("it is not said for how long", hint="Give --for, such as --for 4h.")
    seconds = duration(lasts, option="--for").total_seconds()
    if not 0 < seconds <= LONGEST_SECONDS:
        raise SettingsError(f"--for {lasts} is not possible", hint="At least 1s, at most 7d; then place it again.")
    load_policy(text)  # names every line that is wrong
    new = placed(text, by=getpass.getuser(), seconds=seconds, reason=reason, now=datetime.now(UTC))
    if not dry_run:
        files.place(new)
        _audit(data_dir, "override", f"for {lasts}, policy {new.sha256().hex()[:12]}{': ' if reason else ''}{reason}")
    _say(_shown(new, seconds), "placed", dry_run=dry_run, as_json=as_json)


def _check_follows(data_dir: Path) -> None:
    if is_owned(data_dir) and RunDir(data_dir).read(FOLLOWS) is False:
        raise SettingsError(
            "this node runs the policy that it was started with", hint="Start it anew with another --policy or --to."
        )


def _end(data_dir: Path, files: OverrideFiles, *, dry_run: bool, as_json: bool) -> None:
    found = told(files)
    if found is not None and not dry_run:
        files.end()
        _audit(data_dir, "override ended", f"placed by {found['placed_by']} at {found['placed_at']}")
    _say(found, "ended", dry_run=dry_run, as_json=as_json)


def _audit(data_dir: Path, action: str, reason: str) -> None:
    from edge.buffer.hand import Hand

    if (data_dir / "edge.db").exists():
        Hand(data_dir, who=getpass.getuser()).note(action, reason)


def _shown(found: Override, left: float) -> dict[str, Any]:
    return {
        "sha256": found.sha256().hex(),
        "placed_by": found.placed_by,
        "placed_at": found.placed_at,
        "seconds": int(found.seconds),
        "seconds_left": int(left),
        "reason": found.reason,
    }


def _say(found: dict[str, Any] | None, done: str, *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"override": found, "done": done, "dry_run": dry_run}, indent=2))
    elif found is None:
        print("the control plane's policy runs; there is no override")
    elif done == "ended":
        print(f"the control plane's policy {'would run' if dry_run else 'runs'} again")
    else:
        verb = "would run" if dry_run else "runs"
        print(
            f"policy {found['sha256'][:12]} of {found['placed_by']} {verb} instead of the control plane's for another "
            f"{age(found['seconds_left'])}"
        )
