"""What this node tries, so that a start knows what a crash interrupted. Two small files in `DATA_DIR/policy`.

    trying.json      a policy that is being loaded; written before, so that one that kills core is not tried for ever
    probation.json   a policy that is the active one on probation; written before it becomes the active one

`probation.json` speaks of the active policy only when the fingerprints are the same: when it was written, and the
switch after it not made, it says nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import structlog

from edge.durable import sync_directory, write_durably
from edge.sync.policy_place import fingerprint, place_of
from edge.sync.probation import Counts
from mesh.v1.common_pb2 import PolicyBundle

log = structlog.get_logger(__name__)
TRYING, PROBATION = "trying.json", "probation.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What is tried, how often, and how the node was before."""

    generation: int
    version: int
    fingerprint: str
    begun: int = 0
    """How often the node began to load it, or how often core started while it was on probation."""
    since: str = ""
    """When it was activated, by this node's clock; for people."""
    then: Counts = field(default_factory=Counts)
    """What was counted when it was activated."""


class TrialFile:
    """One of the two notes. One process writes."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> Trial | None:
        """The note; None when there is none, or when it cannot be read: then nothing is on trial."""
        try:
            facts = json.loads(self._path.read_bytes())
            return _trial(facts)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            log.warning("policy.trial-unreadable", file=self._path.name, error=str(error))
            return None

    def write(self, trial: Trial) -> None:
        """Keep it over a power cut."""
        facts = {
            "generation": trial.generation,
            "version": trial.version,
            "fingerprint": trial.fingerprint,
            "begun": trial.begun,
            "since": trial.since,
            "then": trial.then.to_dict(),
        }
        write_durably(self._path, json.dumps(facts, indent=2).encode())

    def begin(self, trial: Trial, most: int) -> int:
        """How often this was begun, this time among them; kept before it begins, because it may end this process."""
        known = self.read()
        begun = known.begun + 1 if known is not None and known.fingerprint == trial.fingerprint else 1
        if begun <= most:
            try:
                self.write(replace(trial, begun=begun))
            except OSError as error:
                log.warning("policy.trial-not-saved", error=str(error))
        return begun

    def end_if_possible(self) -> None:
        """The same as `end`; a disk that does not take it costs at most a wrong count."""
        try:
            self.end()
        except OSError as error:
            log.warning("policy.trial-not-saved", error=str(error))

    def end(self) -> None:
        """Nothing is tried any more."""
        if self._path.exists():
            self._path.unlink(missing_ok=True)
            sync_directory(self._path.parent)


def trial_of(bundle: PolicyBundle) -> Trial:
    """The trial of a policy that nothing is known of yet."""
    place = place_of(bundle)
    return Trial(generation=place.generation, version=place.version, fingerprint=fingerprint(bundle))


def _trial(facts: Mapping[str, Any]) -> Trial:
    return Trial(
        generation=int(facts["generation"]),
        version=int(facts["version"]),
        fingerprint=str(facts["fingerprint"]),
        begun=int(facts["begun"]),
        since=str(facts["since"]),
        then=Counts.from_dict(facts["then"]),
    )
