"""Which nodes have something to take, known in this process: a status report answers from here."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime

import structlog

log = structlog.get_logger(__name__)

POLL_SECONDS = 1.0

Place = tuple[str, str]
"""(site, node id)"""


class CommandBoard:
    """Follows the database each second, so that what another replica was asked is seen too."""

    def __init__(self) -> None:
        self._waiting: Mapping[Place, datetime] = {}
        self._nodes: frozenset[str] = frozenset()

    def waits(self, node_id: str) -> bool:
        """Whether this node has something to take."""
        return node_id in self._nodes

    def newest(self) -> Mapping[Place, datetime]:
        """Who has something to take, and when the newest of it was asked."""
        return self._waiting

    def post(self, waiting: Mapping[Place, datetime]) -> None:
        """Take over what the database says."""
        self._waiting = waiting
        self._nodes = frozenset(node_id for _, node_id in waiting)

    async def follow(self, read: Callable[[], Awaitable[Mapping[Place, datetime]]]) -> None:
        """Run for ever. A database that does not answer delays commands and nothing else."""
        while True:
            try:
                self.post(await read())
            except Exception as error:
                log.warning("commands.board_unread", error=type(error).__name__)
            await asyncio.sleep(POLL_SECONDS)
