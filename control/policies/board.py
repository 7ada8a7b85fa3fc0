"""What each site and each node shall run, known in this process: long polls wait here instead of asking the database.

One task reads the whole small tables every second, so that what another replica published is seen too.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field

import structlog

log = structlog.get_logger(__name__)

Place = tuple[int, int]
"""(generation, version); compares as nodes do."""

POLL_SECONDS = 1.0
FRESH_SECONDS = 3.0
"""How old what is known here may be before the database is asked instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the database says that everybody shall run."""

    sites: Mapping[int, Place]
    nodes: Mapping[str, tuple[int, Place]] = field(default_factory=dict)
    """Node id -> (its site, what it shall run instead of what the site runs)."""


class PolicyBoard:
    """Wakes whoever waits for a policy to change."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._places: dict[int, Place] = {}
        self._nodes: dict[str, tuple[int, Place]] = {}
        self._turns: Counter[int] = Counter()
        self._waiting: dict[int, dict[asyncio.Event, str]] = {}
        self._closed = False
        self._followed_at = float("-inf")
        self._posts = 0

    def place(self, site_id: int, node_id: str = "") -> Place:
        """What the site shall run, or this node of it; (0, 0) when nothing was published."""
        assigned = self._nodes.get(node_id)
        return assigned[1] if assigned is not None else self._places.get(site_id, (0, 0))

    def is_fresh(self) -> bool:
        """Whether this was compared with the database a moment ago."""
        return self._monotonic() - self._followed_at < FRESH_SECONDS

    def places(self) -> Mapping[int, Place]:
        """What all sites shall run."""
        return dict(self._places)

    def turn(self, site_id: int) -> int:
        """Another number whenever a node of the site was given something of its own."""
        return self._turns[site_id]

    def post(self, places: Mapping[int, Place]) -> None:
        """Take over what was published, and wake the sites that changed."""
        self._posts += 1
        for site_id, place in places.items():
            if self._places.get(site_id) != place:
                self._places[site_id] = place
                self.wake(site_id)

    def take(self, wanted: Wanted) -> None:
        """Take over all that the database says, and wake whoever is concerned."""
        self.post(wanted.sites)
        before, self._nodes = self._nodes, dict(wanted.nodes)
        moved = dict(set(before.items()) ^ set(self._nodes.items()))
        for site_id in {site_id for site_id, _ in moved.values()}:
            self._turns[site_id] += 1
            self._wake(site_id, moved.keys())

    def close(self) -> None:
        """Let every waiting poll end now, without news, and none wait any more: the process is about to stop."""
        self._closed = True
        for site_id in list(self._waiting):
            self.wake(site_id)

    def wake(self, site_id: int) -> None:
        """Let the site's waiting polls look again, although its place is the same."""
        for event in self._waiting.pop(site_id, {}):
            event.set()

    def _wake(self, site_id: int, nodes: Collection[str]) -> None:
        for event, node_id in self._waiting.get(site_id, {}).items():
            if node_id in nodes:
                event.set()

    async def wait(self, site_id: int, seconds: float, *, seen: Place, node_id: str = "") -> bool:
        """Return True when there may be something else for the node than what was `seen`; False after so long."""
        if self._closed:
            return False
        if self.place(site_id, node_id) != seen:
            return True
        event = asyncio.Event()
        self._waiting.setdefault(site_id, {})[event] = node_id
        try:
            await asyncio.wait_for(event.wait(), seconds)
        except TimeoutError:
            return False
        finally:
            self._leave(site_id, event)
        return not self._closed

    def _leave(self, site_id: int, event: asyncio.Event) -> None:
        waiting = self._waiting.get(site_id, {})
        waiting.pop(event, None)
        if not waiting:
            self._waiting.pop(site_id, None)

    async def follow(self, read: Callable[[], Awaitable[Wanted]]) -> None:
        """Run for ever: read, take, sleep. A database that does not answer delays the news and nothing else."""
        while True:
            try:
                posts, wanted = self._posts, await read()
                if posts == self._posts:  # else something was published here meanwhile: that is newer
                    self.take(wanted)
                    self._followed_at = self._monotonic()
            except Exception as error:
                log.warning("policy.board_unread", error=type(error).__name__)
            await asyncio.sleep(POLL_SECONDS)
