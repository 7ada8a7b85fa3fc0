"""How many calls of one node are under way: one node must not take the room of all others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from control.errors import Busy


class InFlight:
    """Counts calls under way, by node. Of one event loop."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._count: Counter[str] = Counter()

    @contextmanager
    def entered(self, node_id: str) -> Iterator[None]:
        """Hold a place while the block runs.

        Raises:
            Busy: this node has all its places taken.
        """
        if self._count[node_id] >= self._most:
            raise Busy("Other calls of this node are still under way.")
        self._count[node_id] += 1
        try:
            yield
        finally:
            self._count[node_id] -= 1
            if not self._count[node_id]:
                del self._count[node_id]
