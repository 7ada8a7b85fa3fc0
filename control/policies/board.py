"""What each site shall run, known in this process: long polls wait here instead of asking the database each.

One task reads the whole small table every second, so that what another replica published is seen too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import structlog

log = structlog.get_logger(__name__)

Place = tuple[int, int]
"""(generation, version); compares as nodes do."""

POLL_SECONDS = 1.0


class PolicyBoard:
    """Wakes whoever waits for a site's policy to change."""

    def __init__(self) -> None:
        self._places: dict[int, Place] = {}
        self._changed: dict[int, asyncio.Event] = {}
        self._closed = False

    def place(self, site_id: int) -> Place:
        """What the site shall run; (0, 0) when nothing was published."""
        return self._places.get(site_id, (0, 0))

    def places(self) -> Mapping[int, Place]:
        """What all sites shall run."""
        return dict(self._places)

    def post(self, places: Mapping[int, Place]) -> None:
        """Take over what the database says, and wake the sites that changed."""
        for site_id, place in places.items():
            if self._places.get(site_id) != place:
                self._places[site_id] = place
                self.wake(site_id)

    def close(self) -> None:
        """Let every waiting poll end now, without news, and none wait any more: the process is about to stop."""
        self._closed = True
        for event in self._changed.values():
            event.set()

    def wake(self, site_id: int) -> None:
        """Let the site's waiting polls look again, although its place is the same."""
        self._changed.pop(site_id, asyncio.Event()).set()

    async def wait(self, site_id: int, seconds: float, *, seen: Place) -> None:
        """Return when the site's policy is no longer the one that was `seen`, or after so many seconds."""
        if self._closed or self.place(site_id) != seen:
            return
        event = self._changed.setdefault(site_id, asyncio.Event())
        try:
            await asyncio.wait_for(event.wait(), seconds)
        except TimeoutError:
            return

    async def follow(self, read: Callable[[], Awaitable[Mapping[int, Place]]]) -> None:
        """Run for ever: read, post, sleep. A database that does not answer delays the news and nothing else."""
        while True:
            try:
                self.post(await read())
            except Exception as error:
                log.warning("policy.board_unread", error=type(error).__name__)
            await asyncio.sleep(POLL_SECONDS)
