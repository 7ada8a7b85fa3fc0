"""How many calls of one node are under way: one node must not take the room of all others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from control.errors import Busy


class InFlight:
    """Counts calls under way, by node. Of one event loop."""

    def __init__(self, most: int, *, in_all: int | None = None) -> None:
        """At most so many of one node, and of all nodes together."""
        self._most = most
        self._in_all = in_all
        self._count: Counter[str] = Counter()
        self._total = 0

    @contextmanager
    def entered(self, node_id: str) -> Iterator[None]:
        """Hold a place while the block runs.

        Raises:
            Busy: this node has all its places taken, or all places are.
        """
        if self._in_all is not None and self._total >= self._in_all:
            raise Busy("Too many calls of nodes are under way.")
        if self._count[node_id] >= self._most:
            raise Busy("Other calls of this node are still under way.")
        self._count[node_id] += 1
        self._total += 1
        try:
            yield
        finally:
            self._total -= 1
            self._count[node_id] -= 1
            if not self._count[node_id]:
                del self._count[node_id]
