"""Fan-out of the live feed to the watchers of this process: read once for all of them.

The feed is read every second, so that what another replica wrote is seen too, and at once after a commit of our own.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from control.live.mailbox import Mailbox
from control.live.service import FeedService

log = structlog.get_logger(__name__)

POLL_SECONDS = 1.0
TIDY_SECONDS = 600.0
PAGE = 500


class LiveHub:
    """Hands every new line to every watcher."""

    def __init__(self, feed: FeedService, *, poll_seconds: float = POLL_SECONDS) -> None:
        self._feed = feed
        self._poll_seconds = poll_seconds
        self._wake = asyncio.Event()
        self._mailboxes: set[Mailbox] = set()
        self._last: int | None = None
        self._answers = True

    @property
    def watchers(self) -> int:
        """How many watch this process."""
        return len(self._mailboxes)

    def committed(self) -> None:
        """Look now: this process has just written."""
        self._wake.set()

    @contextmanager
    def watch(self) -> Iterator[Mailbox]:
        """A mailbox that gets every line from now on."""
        mailbox = Mailbox()
        self._mailboxes.add(mailbox)
        try:
            yield mailbox
        finally:
            self._mailboxes.discard(mailbox)

    async def run(self) -> None:
        """Run for ever. A database that does not answer delays the news and nothing else."""
        tidied = time.monotonic()
        while True:
            self._wake.clear()
            try:
                await self.look()
                if time.monotonic() - tidied > TIDY_SECONDS:
                    tidied = time.monotonic()
                    await self._feed.forget_old()
                self._note(True)
            except Exception as error:
                self._note(False, type(error).__name__)
            try:
                await asyncio.wait_for(self._wake.wait(), self._poll_seconds)
            except TimeoutError:
                continue

    async def look(self) -> None:
        """Hand out what is new."""
        if self._last is None:
            self._last = await self._feed.newest()
        while True:
            page = await self._feed.read_after(self._last, PAGE)
            if page.gap:
                self._last = page.newest
                for mailbox in self._mailboxes:
                    mailbox.give_up(page.newest)
                return
            for line in page.lines:
                for mailbox in self._mailboxes:
                    mailbox.put(line)
                self._last = line.sequence
            if len(page.lines) < PAGE:
                return

    def _note(self, answers: bool, error: str = "") -> None:
        """Say once when the feed stops, and once when it is back."""
        if answers != self._answers:
            self._answers = answers
            if answers:
                log.info("live.feed_back")
            else:
                log.warning("live.feed_unread", error=error)
