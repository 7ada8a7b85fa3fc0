"""What people at the site said of nodes, and which drains are done: kept over restarts, with time and who.

A state is said with its time; the later of what was said here and at the centre holds. A weight said here holds until
the document asks for another one than it did then.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, get_args

import structlog

from haproxy.durable import write_durably
from haproxy.manager.interface import LocalWord
from mesh.pools import State

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class StateWord:
    """Somebody here let a node drain, come back, or rest."""

    state: State
    since: int
    deadline: int = 0
    by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightWord:
    """Somebody here gave a node another share."""

    weight: int
    since: int
    instead_of: int
    """What the document asked for then."""
    by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """Everything that was said here."""

    states: Mapping[str, StateWord] = field(default_factory=dict)
    weights: Mapping[str, WeightWord] = field(default_factory=dict)
    drained: Mapping[str, int] = field(default_factory=dict)
    """Nodes whose drain is done, and when that drain was said: it has become maint."""

    def told(self) -> tuple[LocalWord, ...]:
        """One entry for each node of which something was said."""
        return tuple(
            LocalWord(
                node=node,
                state=state.state if (state := self.states.get(node)) else None,
                weight=weight.weight if (weight := self.weights.get(node)) else None,
                since=max(state.since if state else 0, weight.since if weight else 0),
                deadline=state.deadline if state else 0,
                by=(state or weight).by if (state or weight) else "",  # type: ignore[union-attr]
            )
            for node in sorted({*self.states, *self.weights})
        )


class Words:
    """The file of them. A damaged one is set aside and said; nobody's drain is guessed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self.damaged = False
        self._said = self._read()

    @property
    def said(self) -> Said:
        """What holds now."""
        return self._said

    def say_state(self, node: str, word: StateWord) -> None:
        """Keep it; it is on the disk when this returns.

        Raises:
            OSError: the disk did not take it, and it does not hold.
        """
        with self._lock:
            drained = {name: since for name, since in self._said.drained.items() if name != node}
            self._keep(replace(self._said, states={**self._said.states, node: word}, drained=drained))

    def say_weight(self, node: str, word: WeightWord | None) -> None:
        """Keep it, or take back what was said; it is on the disk when this returns.

        Raises:
            OSError: the disk did not take it, and it does not hold.
        """
        with self._lock:
            weights = {name: kept for name, kept in self._said.weights.items() if name != node}
            self._keep(replace(self._said, weights=weights if word is None else {**weights, node: word}))

    def drain_done(self, node: str, since: int) -> None:
        """The drain that was said at that time is done.

        Raises:
            OSError: the disk did not take it; it is found done again.
        """
        with self._lock:
            if self._said.drained.get(node) != since:
                self._keep(replace(self._said, drained={**self._said.drained, node: since}))

    def _keep(self, said: Said) -> None:
        write_durably(self._path, json.dumps(asdict(said), indent=2).encode())
        self._said = said

    def _read(self) -> Said:
        try:
            return _said(json.loads(self._path.read_bytes()))
        except FileNotFoundError:
            return Said()
        except (OSError, ValueError, TypeError, AttributeError, KeyError) as error:
            self.damaged = True
            log.error("words.unreadable", error=str(error), kept=f"{self._path.name}.damaged")
            try:
                self._path.replace(self._path.with_name(f"{self._path.name}.damaged"))
            except OSError as refused:
                log.error("words.cannot_be_set_aside", error=str(refused))
            return Said()


def _said(facts: Mapping[str, Any]) -> Said:
    states = {str(node): StateWord(**word) for node, word in facts["states"].items()}
    if not all(word.state in get_args(State) for word in states.values()):
        raise ValueError("a state that is none")
    return Said(
        states=states,
        weights={str(node): WeightWord(**word) for node, word in facts["weights"].items()},
        drained={str(node): int(since) for node, since in facts["drained"].items()},
    )
