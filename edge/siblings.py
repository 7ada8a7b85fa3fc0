"""What the other processes of this node say of themselves: their conditions, and the supervisor's report on them."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from edge.health import PROCESS_DOWN, PROCESS_RESTARTED, SPOOL_FULL, Condition, HealthBoard, Severity
from edge.run_dir import RunDir

HEALTH = "health-"
PROCESSES = "processes.json"


class SharedHealth(HealthBoard):
    """A board whose conditions another process can read."""

    def __init__(self, run_dir: RunDir, process: str) -> None:
        super().__init__()
        self._run_dir, self._file = run_dir, f"{HEALTH}{process}"
        self._writing = threading.Lock()
        self._changed()

    def _changed(self) -> None:
        with self._writing, contextlib.suppress(OSError):  # a full disk must not stop who has to say that it is full
            self._run_dir.write(self._file, [asdict(one) for one in self.current()])


class Siblings:
    """Reads, and judges by, what lies in the run directory; finds nothing where a node has only one process."""

    def __init__(self, run_dir: RunDir) -> None:
        self._run_dir = run_dir

    def processes(self) -> Mapping[str, Mapping[str, Any]]:
        """The supervisor's report on every process, by name."""
        found = self._run_dir.read(PROCESSES)
        return found if isinstance(found, dict) else {}

    def receiving(self) -> bool:
        """Whether every process that receives does so."""
        return all(one["serves"] for name, one in self.processes().items() if name.startswith("ingest"))

    def conditions(self) -> list[Condition]:
        """What they say is not right, and what the supervisor saw of them."""
        return [*self._told(), *_seen(self.processes())]

    def _told(self) -> list[Condition]:
        found = []
        for values in self._run_dir.read_all(HEALTH).values():
            for one in values or ():
                condition = Condition(**{**one, "severity": Severity(one["severity"])})
                # Who receives notices only at the next image that there is room again; core looks by itself.
                if condition.code != SPOOL_FULL.code:
                    found.append(condition)
        return found


def _seen(processes: Mapping[str, Mapping[str, Any]]) -> list[Condition]:
    found = []
    for name, one in processes.items():
        if not one["serves"]:
            found.append(PROCESS_DOWN.saying(f"The process {name} does not work; it is started again.", subject=name))
        if one["lately"]:
            times = "once" if one["lately"] == 1 else f"{one['lately']} times"
            text = f"The process {name} was started again {times} in the last 15 minutes; {one['last_end']}."
            found.append(PROCESS_RESTARTED.saying(text, subject=name))
    return found
