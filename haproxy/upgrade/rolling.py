"""Does a rolling upgrade: says the words to the manager that runs, runs the site's script, and asks the nodes."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from haproxy.errors import HaproxyError
from haproxy.upgrade.journal import Journal, Progress
from haproxy.upgrade.probe import DicomDoor, probe
from haproxy.upgrade.table import AFTER, ENDS, Step, after_interruption

LOOK_SECONDS = 0.5
GOOD_PROBES = 2
PAST_DEADLINE_SECONDS = 15.0
LAST_WORDS = 2000

Ask = Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""The manager's answer to one command; raises HaproxyError."""
Tell = Callable[[str, Step, str], None]
"""Hears of each step: node, step, words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How the nodes of this site are upgraded."""

    script: Path
    """Called for one node at a time, with SKERRY_NODE and with SKERRY_STEP=upgrade or roll-back. Ends with 0 when the
    node runs again. It may be called twice for the same node, when the first time was interrupted."""
    drain_seconds: int = 600
    """What is open after so long is left to the script."""
    script_seconds: float = 1800.0
    health_seconds: float = 120.0
    by: str = ""


class Rolling:
    """One rolling upgrade. One thread."""

    def __init__(self, plan: Plan, ask: Ask, journal: Journal, tell: Tell) -> None:
        self._plan, self._ask, self._journal, self._tell = plan, ask, journal, tell
        self._actions: Mapping[Step, Callable[[str], str]] = {
            Step.DRAIN: self._drain,
            Step.UPGRADE: lambda node: self._script(node, "upgrade"),
            Step.PROBE: self._probe,
            Step.READY: self._ready,
            Step.DRAIN_AGAIN: self._drain,
            Step.ROLL_BACK: lambda node: self._script(node, "roll-back"),
            Step.PROBE_BACK: self._probe,
            Step.READY_BACK: self._ready,
        }

    def run(self, progress: Progress) -> Progress:
        """Every node in its order; ends with the first one that did not come out upgraded."""
        for node in progress.steps:
            step = after_interruption(progress.steps[node])
            while step not in ENDS:
                progress = progress.with_step(node, step)
                self._journal.write(progress)
                self._tell(node, step, "")
                words = self._do(step, node)
                if words:
                    self._tell(node, step, words)
                step = AFTER[step, not words]
            progress = progress.with_step(node, step)
            self._journal.write(progress)
            self._tell(node, step, "")
            if step is not Step.DONE:
                break
        return progress

    def _do(self, step: Step, node: str) -> str:
        """Empty when it went well; else why not."""
        try:
            return self._actions[step](node)
        except (HaproxyError, OSError) as error:
            return str(error)

    def _drain(self, node: str) -> str:
        answer = self._say(node, "drain", seconds=self._plan.drain_seconds)
        until = time.monotonic() + self._plan.drain_seconds + PAST_DEADLINE_SECONDS
        while set(answer["states"].values()) != {"maint"}:
            if time.monotonic() > until:
                return f"it is not in maint after {self._plan.drain_seconds} s"
            time.sleep(LOOK_SECONDS)
            answer = self._ask({"do": "look", "node": node})
            if "ready" in answer["states"].values():
                return "somebody made it ready meanwhile"
        return ""

    def _script(self, node: str, step: str) -> str:
        environment = {**os.environ, "SKERRY_NODE": node, "SKERRY_STEP": step}
        try:
            done = subprocess.run(
                [str(self._plan.script)],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=self._plan.script_seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return f"{self._plan.script.name} did not end within {self._plan.script_seconds:g} s"
        if done.returncode == 0:
            return ""
        said = done.stdout.decode("utf-8", "replace").strip()[-LAST_WORDS:]
        return f"{self._plan.script.name} ended with {done.returncode}: {said or 'it said nothing'}"

    def _probe(self, node: str) -> str:
        doors = doors_of(self._ask({"do": "where", "node": node}))
        until, good, words = time.monotonic() + self._plan.health_seconds, 0, "it was not asked"
        while good < GOOD_PROBES:
            words = next((said for door in doors if (said := probe(door))), "")
            good = 0 if words else good + 1
            if words and time.monotonic() > until:
                return f"it is not well after {self._plan.health_seconds:g} s: {words}"
            time.sleep(LOOK_SECONDS if words else 0.1)
        return ""

    def _ready(self, node: str) -> str:
        self._say(node, "ready")
        until = time.monotonic() + self._plan.health_seconds
        while True:
            mine = [one for one in self._ask({"do": "status"})["members"] if one["node"] == node]
            if mine and all(one["up"] and one["admin"] == "ready" and one["check"] in GOOD_CHECKS for one in mine):
                return ""
            if time.monotonic() > until:
                said = "; ".join(f"{one['check']} {one['check_words']}".strip() for one in mine)
                return f"HAProxy does not give it associations after {self._plan.health_seconds:g} s: {said}"
            time.sleep(LOOK_SECONDS)

    def _say(self, node: str, state: str, **more: Any) -> Mapping[str, Any]:
        return self._ask({"do": state, "node": node, "by": self._plan.by, **more})


GOOD_CHECKS = frozenset({"L7OK", "L6OK", "L4OK", ""})
"""Empty: HAProxy does not check it."""


def doors_of(where: Mapping[str, Any]) -> Sequence[DicomDoor]:
    """The DICOM doors of a node, from the manager's answer to `where`."""
    return [DicomDoor(**door) for door in where["doors"]]
