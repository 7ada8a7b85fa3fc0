"""`DATA_DIR/run`: what the processes of a node show each other. Made anew at every start; nothing in it is a record."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

FOLLOWS = "follows.json"
"""Whether the node runs the control plane's policy, or the one that it was started with."""
LOCAL_POLICY = "local-policy.json"
"""The text of the policy that the node was started with; there is none when it follows its control plane."""


class RunDir:
    """Small files, each written by one process and replaced as a whole."""

    def __init__(self, data_dir: Path) -> None:
        self.path = data_dir / "run"
        self.metrics = self.path / "metrics"

    def clear(self) -> None:
        """Begin with nothing. Only who owns the data directory, and before it starts anything."""
        shutil.rmtree(self.path, ignore_errors=True)
        self.metrics.mkdir(parents=True, exist_ok=True, mode=0o700)

    def write(self, name: str, value: Any) -> None:
        """Replace one file; a reader sees the old one or the new one."""
        aside = self.path / f".{name}.new"
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            json.dump(value, stream)
        aside.replace(self.path / name)

    def read(self, name: str) -> Any:
        """What a file says, or None when there is none."""
        with contextlib.suppress(OSError, ValueError):
            return json.loads((self.path / name).read_text(encoding="utf-8"))
        return None

    def read_all(self, prefix: str) -> dict[str, Any]:
        """Every file whose name begins so, by the rest of its name."""
        names = [one.name for one in self.path.glob(f"{prefix}*")]
        return {name.removeprefix(prefix): self.read(name) for name in sorted(names)}

    def stamp(self, name: str) -> int:
        """Changes whenever the file does; 0 while there is none."""
        with contextlib.suppress(OSError):
            status = (self.path / name).stat()
            return hash((status.st_mtime_ns, status.st_ino))
        return 0

    def forget_live_gauges(self, process: str) -> None:
        """What a process that died was holding, it holds no longer; what it counted stays counted."""
        for path in self.metrics.glob(f"gauge_live*_{process}.db"):
            path.unlink(missing_ok=True)
