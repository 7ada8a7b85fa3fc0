"""Keeps one HAProxy as it is wanted: makes a document so, watches that it stays so, and finds what time has brought.

Nothing here needs the centre. One thread at a time.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

import structlog

from haproxy.errors import ConfigurationRejected, SocketError
from haproxy.manager import deeds, health, observing, wanted
from haproxy.manager.applying import Applier, Wish
from haproxy.manager.drains import Drains, hours_that_wait
from haproxy.manager.interface import MemberReport, PoolsReport
from haproxy.manager.kept import Kept
from haproxy.manager.process import Haproxy
from haproxy.manager.rejections import Rejections
from haproxy.manager.standing import Standings, as_document, standings
from haproxy.manager.telling import Tally, Teller
from haproxy.manager.words import Words
from haproxy.places import Places

log = structlog.get_logger(__name__)
MUTE_SECONDS = 5.0
RESTARTED_SECONDS = 3600.0
LONGEST_PAUSE = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What the manager keeps on disk beside the document."""

    words: Words
    rejections: Rejections


class Keeper:
    """The hands of the manager."""

    def __init__(
        self, places: Places, memory: Memory, teller: Teller, *, reload_seconds: float, now: Callable[[], datetime]
    ) -> None:
        self._places = places
        self._memory = memory
        self._teller = teller
        self._reload_seconds = reload_seconds
        self._now = now
        self.haproxy = Haproxy(places)
        self._applier = Applier(places, self.haproxy)
        self._drains = Drains()
        self.tally = Tally()
        self.kept: Kept | None = None
        self._reading: observing.Reading | None = None
        self._reload_at = 0.0
        self._try_at = 0.0
        self._pause = 1.0
        self._mute_since: float | None = None
        self._restarted_at: float | None = None
        self._seen_running = False

    def turn_in(self, kept: Kept) -> float:
        """Seconds until this document may be made so: reloads are kept apart, for each leaves a worker behind."""
        if self._applier.runs(self._text(kept)):
            return 0.0
        return max(0.0, self._reload_at - time.monotonic())

    def try_again(self) -> None:
        """A person mended something: do not wait any longer."""
        self._try_at = 0.0

    def make_so(self, kept: Kept) -> bool:
        """Let HAProxy run a document; whether that took a reload or a start.

        Raises:
            ConfigurationRejected: it goes on with what it ran before.
            OSError: the disk takes no files.
        """
        text = self._text(kept)
        if self._applier.runs(text) and self.haproxy.find() is not None:
            return False
        self._reload_at = time.monotonic() + self._reload_seconds
        document = as_document(kept.document, self._standing(kept))
        self._applier.apply(
            Wish(
                text=text,
                server_state=lambda: wanted.server_state(document, self._read()),
                differences=lambda: wanted.differences(document, observing.read(self.haproxy.master)),
            )
        )
        self.tally.reloads += 1
        self.tally.last_reload = int(self._now().timestamp())
        return True

    def look(self) -> None:
        """Compare, mend, and tell."""
        self._reading = None
        if self._is_there():
            try:
                self._reconcile()
            except SocketError as error:
                log.warning("haproxy.not_read", error=str(error))
        self._tell()

    def _reconcile(self) -> None:
        self._reading = observing.read(self.haproxy.master)
        if self.kept is None:
            return
        members = observing.members(self._reading)
        standing = self._standing(self.kept, members)
        for one in self._drains.done(standing, members):
            log.info("member.drained", node=one.node)
            self._memory.words.drain_done(one.node, one.since)
            standing = self._standing(self.kept, members)
        todo = deeds.needed(wanted.servers(as_document(self.kept.document, standing)), self._reading)
        refused = deeds.do(todo, observing.each_worker(self.haproxy.master, self._reading.processes)) if todo else ""
        if todo:
            self._reading = observing.read(self.haproxy.master)
        if refused:
            self._not_as_wanted(refused)
        elif self._needs_reload(self.kept) and self.turn_in(self.kept) <= 0:
            self._try(self.kept)
        elif not todo:
            self._teller.clear(health.NOT_AS_WANTED.code)

    def _needs_reload(self, kept: Kept) -> bool:
        assert self._reading is not None
        if not self._applier.runs(self._text(kept)):
            return True
        return bool(wanted.differences(kept.document, self._reading)) and self._forget_mark()

    def _forget_mark(self) -> bool:
        """HAProxy runs otherwise though the file is in place: somebody else let it read another one."""
        self._applier.forget()
        return True

    def _try(self, kept: Kept) -> None:
        """Make it so again, later and later when it does not go."""
        if time.monotonic() < self._try_at:
            return
        try:
            self.make_so(kept)
            self._pause = 1.0
        except (ConfigurationRejected, OSError) as error:
            self._try_at = time.monotonic() + self._pause
            self._pause = min(2 * self._pause, LONGEST_PAUSE)
            self._not_as_wanted(str(error))

    def _not_as_wanted(self, words: str) -> None:
        held = health.NOT_AS_WANTED if self.haproxy.find() is not None else health.HAPROXY_DOWN
        self._teller.hold(replace(held, text=f"{held.text} Why: {words[:1000]}"))

    # -- whether it is there -------------------------------------------------------------------------------------

    def _is_there(self) -> bool:
        if self.haproxy.find() is not None:
            self._mute_since = None
            self._seen_running = True
            self._teller.clear(health.HAPROXY_DOWN.code)
            if self._restarted_at is not None and time.monotonic() > self._restarted_at + RESTARTED_SECONDS:
                self._teller.clear(health.HAPROXY_RESTARTED.code)
            return True
        if not self.haproxy.ours_to_start:
            self._teller.hold(health.HAPROXY_DOWN)
            return False
        return self._is_mute() if self.haproxy.lives() else self._started()

    def _is_mute(self) -> bool:
        """One that lives may be starting or reloading; one that goes on in silence has lost its sockets."""
        now = time.monotonic()
        self._mute_since = self._mute_since or now
        if now - self._mute_since > MUTE_SECONDS:
            self._mute_since = now
            self.haproxy.waken()
        return False

    def _started(self) -> bool:
        if time.monotonic() < self._try_at or not (self.kept or self._places.config.exists()):
            return False
        again = self._seen_running
        if self.kept is not None:
            self._try(self.kept)
        if self.haproxy.find() is None:
            self._start_as_it_is()
        if self.haproxy.find() is None:
            return False
        if again:
            self.tally.restarts += 1
            self._restarted_at = time.monotonic()
            self._teller.hold(health.HAPROXY_RESTARTED)
            log.error("haproxy.restarted")
        return self._is_there()

    def _start_as_it_is(self) -> None:
        """No document is known, or it does not run any more; the file in place was checked when it came there."""
        if not self._places.config.exists():
            return
        try:
            self.haproxy.start()
        except ConfigurationRejected as error:
            self._try_at = time.monotonic() + self._pause
            self._pause = min(2 * self._pause, LONGEST_PAUSE)
            self._not_as_wanted(str(error))

    # -- what is wanted and told ---------------------------------------------------------------------------------

    def _text(self, kept: Kept) -> str:
        return wanted.text_of(wanted.weighed(kept.document, self._memory.words.said), self._places)

    def _standing(self, kept: Kept, members: tuple[MemberReport, ...] | None = None) -> Standings:
        said, now = self._memory.words.said, self._now()
        known = self._teller.report.members if members is None else members
        waiting = hours_that_wait(kept.document, said, now, known) if known else frozenset[str]()
        if waiting:
            self._teller.hold(replace(health.HOURS_WAIT, subject=", ".join(sorted(waiting))))
        else:
            self._teller.clear(health.HOURS_WAIT.code)
        return standings(kept.document, said, now, not_by_hours=waiting)

    def _read(self) -> observing.Reading | None:
        try:
            return observing.read(self.haproxy.master)
        except SocketError:
            return None

    def _tell(self) -> None:
        reading, kept = self._reading, self.kept
        if kept is None:
            self._teller.hold(health.NO_POOLS)
        else:
            self._teller.clear(health.NO_POOLS.code)
        report = PoolsReport(
            order=kept.document.order if kept else 0,
            origin=kept.origin if kept else "none",
            site=kept.document.site if kept else "",
            haproxy_running=reading is not None,
            haproxy_version=reading.processes.version if reading else "",
            old_workers=len(reading.processes.old_workers) if reading else 0,
            reloads=self.tally.reloads,
            last_reload=self.tally.last_reload,
            rejected=self._memory.rejections.last(),
            members=observing.members(reading) if reading else (),
            words=self._memory.words.said.told(),
        )
        self._teller.tell(report, reading)
