"""A command that is run to its end, with its words kept."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from provisioning.errors import CommandFailed


def own_script(name: str) -> str:
    """A console script of this installation (`skerry-edge`, `skerry-control`)."""
    return str(Path(sys.executable).parent / name)


def run(argv: Sequence[str], *, seconds: float = 60.0, stdin: str | None = None) -> str:
    """What the command wrote on standard output.

    Raises:
        CommandFailed: it ended with anything but 0, or not within the time.
    """
    shown = " ".join((Path(argv[0]).name, *argv[1:]))
    try:
        done = subprocess.run(
            argv, input=stdin, capture_output=True, text=True, timeout=seconds, errors="replace", check=False
        )
    except subprocess.TimeoutExpired:
        raise CommandFailed(f"`{shown}` did not end within {seconds:g} s", returncode=-1, stderr="") from None
    if done.returncode != 0:
        words = done.stderr.strip() or done.stdout.strip()
        raise CommandFailed(
            f"`{shown}` ended with {done.returncode}: {words}", returncode=done.returncode, stderr=words
        )
    return done.stdout


def run_json(argv: Sequence[str], *, seconds: float = 60.0) -> Any:
    """The JSON document that the command wrote."""
    return json.loads(run(argv, seconds=seconds))
