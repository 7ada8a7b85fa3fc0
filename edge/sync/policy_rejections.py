"""What this node was offered and does not run, and why: remembered over restarts, and not tried again.

The last one is told to the centre and to people. Of those before it only what they are is kept, so that a centre that
goes back and forth between two bad policies does not make the node try each of them again and again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import structlog

from edge.durable import write_durably
from edge.sync.policy_place import Place

log = structlog.get_logger(__name__)
FILE = "rejected.json"
MOST_REMEMBERED = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """A policy that this node was offered and must not run."""

    place: Place
    sha256: str
    """Of the whole bundle: another offer of the same text is another one."""
    error: str
    code: str = "does_not_load"
    rolled_back: bool = False
    """Whether it ran here, on probation."""
    offer: int = 0


class Rejections:
    """The memory of one node. One process writes."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self._known = self._read()

    def last(self) -> Rejection | None:
        """What the node refused last, when nothing else was committed since."""
        return self._known[-1] if self._known and self._known[-1].error else None

    def find(self, fingerprint: str) -> Rejection | None:
        """The refusal of this very bundle."""
        return next((one for one in reversed(self._known) if one.sha256 == fingerprint), None)

    def remember(self, rejection: Rejection) -> None:
        """Keep it.

        Raises:
            OSError: the disk did not take it; it is known until the next start.
        """
        others = [one for one in self._known if one.sha256 != rejection.sha256]
        self._known = [*others[1 - MOST_REMEMBERED :], rejection]
        self._write()

    def forget_up_to(self, place: Place) -> None:
        """A policy is committed: what is not after it in the order cannot come again."""
        left = [replace(one, error="") for one in self._known if one.place > place]
        if left == self._known:
            return
        self._known = left
        if left:
            self._write()
        else:
            self._path.unlink(missing_ok=True)

    def _write(self) -> None:
        write_durably(self._path, json.dumps([asdict(one) for one in self._known], indent=2).encode())

    def _read(self) -> list[Rejection]:
        try:
            facts = json.loads(self._path.read_bytes())
            # Before there were several, the file held one.
            return [_rejection(one) for one in (facts if isinstance(facts, list) else [facts])]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            # It only costs one more try.
            log.warning("policy.rejection-unreadable", error=str(error))
            return []


def _rejection(facts: Mapping[str, Any]) -> Rejection:
    place = facts.get("place", facts)
    return Rejection(
        place=Place(generation=int(place["generation"]), version=int(place["version"])),
        sha256=str(facts["sha256"]),
        error=str(facts["error"]),
        code=str(facts.get("code", "does_not_load")),
        rolled_back=bool(facts.get("rolled_back", False)),
        offer=int(facts.get("offer", 0)),
    )
