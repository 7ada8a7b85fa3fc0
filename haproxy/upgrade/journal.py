"""How far a rolling upgrade is, on disk: one that was ended in the middle is gone on with."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from haproxy.durable import write_durably
from haproxy.errors import SettingsError
from haproxy.upgrade.table import Step


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """One rolling upgrade."""

    script: str
    steps: Mapping[str, Step]
    """By node, in the order in which they are upgraded."""

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do: all are done, or one went back or is stuck."""
        return all(step is Step.DONE for step in self.steps.values()) or bool(
            {Step.BACK, Step.STUCK} & set(self.steps.values())
        )

    def with_step(self, node: str, step: Step) -> Progress:
        """The same, with one node further."""
        return Progress(script=self.script, steps={**self.steps, node: step})


class Journal:
    """Its file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def unfinished(self) -> Progress | None:
        """One that was ended in the middle.

        Raises:
            SettingsError: the file cannot be read; a person says what is so.
        """
        try:
            facts = json.loads(self._path.read_bytes())
            steps = {str(node): Step(step) for node, step in facts["steps"].items()}
            progress = Progress(script=str(facts["script"]), steps=steps)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise SettingsError(
                f"{self._path} cannot be read, so that nobody knows how far the last upgrade came",
                hint="Look at `skerry-haproxy status`, and begin anew with --fresh.",
            ) from error
        return None if progress.finished else progress

    def write(self, progress: Progress) -> None:
        """Keep it; it is on the disk when this returns."""
        facts = {"script": progress.script, "steps": {node: str(step) for node, step in progress.steps.items()}}
        write_durably(self._path, json.dumps(facts, indent=2).encode())


def begun(script: str, nodes: Sequence[str]) -> Progress:
    """A new one."""
    return Progress(script=script, steps=dict.fromkeys(nodes, Step.DRAIN))
