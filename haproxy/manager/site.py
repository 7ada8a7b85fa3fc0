"""The manager of one site's HAProxy: what is wanted and what is there are compared every second, and made the same.

A word or a document is acted on at once; the loop finds everything else, such as a drain that is done, an hour that
has come, an HAProxy that is gone, or one that somebody else told something. Nothing of it needs the centre.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import structlog

from haproxy.errors import ConfigurationRejected, SettingsError
from haproxy.manager import health, saying, wanted
from haproxy.manager.interface import Applied, Condition, Outcome, PoolsReport, Rejected
from haproxy.manager.keeper import Keeper, Memory
from haproxy.manager.kept import Kept, KeptDocument
from haproxy.manager.rejections import Rejections
from haproxy.manager.telling import Tally, Teller
from haproxy.manager.words import StateWord, WeightWord, Words
from haproxy.places import Places
from haproxy.pool.findings import findings
from mesh.pools import PoolsDocument, State

log = structlog.get_logger(__name__)
RELOAD_SECONDS = 5.0
LOOK_SECONDS = 1.0


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Site:
    """One manager. `PoolManager` for the link; the rest is for the command line."""

    def __init__(
        self,
        places: Places,
        *,
        reload_seconds: float = RELOAD_SECONDS,
        look_seconds: float = LOOK_SECONDS,
        now: Callable[[], datetime] = _utc_now,
    ) -> None:
        self._look_seconds = look_seconds
        self._now = now
        self._kept_file = KeptDocument(places.document)
        self._words = Words(places.words)
        self._rejections = Rejections(places.rejections)
        self._teller = Teller()
        memory = Memory(words=self._words, rejections=self._rejections)
        self._keeper = Keeper(places, memory, self._teller, reload_seconds=reload_seconds, now=now)
        self._offering = threading.Lock()
        self._changing = threading.RLock()
        self._stopping = threading.Event()
        self._wake = threading.Event()
        self._looked_at = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="reconcile", daemon=True)

    @property
    def tally(self) -> Tally:
        """What was counted since the start."""
        return self._keeper.tally

    # -- life ----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Adopt the HAProxy that runs, or start one, with the last good document; then watch over it."""
        self._keeper.kept = self._kept_file.read()
        if self._kept_file.damaged:
            self._teller.hold(health.POOLS_DAMAGED)
        if self._words.damaged:
            self._teller.hold(health.WORDS_DAMAGED)
        rejected = self._rejections.last()
        if rejected is not None:
            self._hold_rejected(rejected)
        with self._changing:
            self._keeper.look()
        self._thread.start()

    def stop(self, *, with_haproxy: bool = False) -> None:
        """End the manager; HAProxy goes on, unless it is to end, too."""
        self._stopping.set()
        self._wake.set()
        self._thread.join(30)
        if with_haproxy and self._keeper.haproxy.ours_to_start:
            self._keeper.haproxy.stop()
        self._keeper.haproxy.let_go()

    def alive(self) -> bool:
        """Whether the loop still goes round."""
        return self._thread.is_alive() and time.monotonic() - self._looked_at < 120

    # -- for the link --------------------------------------------------------------------------------------------

    def offer(self, document: PoolsDocument, *, fingerprint: str) -> Outcome:
        """See `PoolManager`."""
        return self._offer(Kept(document=document, fingerprint=fingerprint, origin="centre"))

    def offer_file(self, document: PoolsDocument, *, fingerprint: str) -> Outcome:
        """The same for a pool file: it has no order, the newest one counts."""
        return self._offer(Kept(document=document, fingerprint=fingerprint, origin="file"))

    def report(self) -> PoolsReport:
        """See `PoolManager`."""
        return self._teller.report

    def wait_for_change(self, seconds: float) -> bool:
        """See `PoolManager`."""
        return self._teller.wait(seconds)

    def tell_link(self, conditions: tuple[Condition, ...]) -> None:
        """See `PoolManager`."""
        self._teller.of_link(conditions)
        self._wake.set()

    # -- for people at the site ----------------------------------------------------------------------------------

    def hold(self, condition: Condition) -> None:
        """Something outside of the loop is not as it should be."""
        self._teller.hold(condition)
        self._wake.set()

    def clear(self, code: str) -> None:
        """It is again."""
        self._teller.clear(code)
        self._wake.set()

    def say_state(
        self, node: str, state: State, *, seconds: int = 0, last: bool = False, by: str = "", dry_run: bool = False
    ) -> Mapping[str, Any]:
        """Let a node drain, rest or come back, from now on; returns how far it is and what is left without it.

        Raises:
            HaproxyError: there is no such node, or it is the last one and nobody said that this is meant.
        """
        with self._changing:
            members = saying.members_named(self._document(), node)
            saying.judge(self.report().members, node, state, last=last)
            if not dry_run:
                since = saying.since(members, int(self._now().timestamp()))
                deadline = since + seconds if seconds and state == "drain" else 0
                self._words.say_state(node, StateWord(state=state, since=since, deadline=deadline, by=by))
                self._keeper.look()
            return {**saying.progress(self.report().members, node), "wanted": state, "dry_run": dry_run}

    def say_weight(self, node: str, weight: int, *, by: str = "", dry_run: bool = False) -> Mapping[str, Any]:
        """Give a node another share, until the document asks for another one than it does now.

        Raises:
            HaproxyError: there is no such node, or the share is none.
        """
        if not 0 <= weight <= 256:
            raise SettingsError(f"{weight} is no weight", hint="Give a number from 0 to 256.")
        with self._changing:
            members = saying.members_named(self._document(), node)
            if not weight:
                saying.judge(self.report().members, node, "drain", last=False)
            if not dry_run:
                since = saying.since(members, int(self._now().timestamp()))
                word = WeightWord(weight=weight, since=since, instead_of=members[0].weight, by=by)
                self._words.say_weight(node, word)
                self._keeper.look()
            return {**saying.progress(self.report().members, node), "weight": weight, "dry_run": dry_run}

    def progress(self, node: str) -> Mapping[str, Any]:
        """How far a node is, and what is left without it.

        Raises:
            UnknownNode: there is no such node.
        """
        saying.members_named(self._document(), node)
        return saying.progress(self.report().members, node)

    def where(self, node: str) -> Mapping[str, Any]:
        """The DICOM doors of a node, for whoever wants to ask it as HAProxy's checks do.

        Raises:
            UnknownNode: there is no such node.
        """
        saying.members_named(self._document(), node)
        return {"node": node, "doors": list(wanted.doors(self._document(), node))}

    def forget_rejections(self) -> None:
        """A person mended what stood in the way: whatever was refused may be tried again."""
        self._rejections.forget()
        self._teller.clear(health.POOLS_REJECTED.code)
        self._keeper.try_again()
        self._wake.set()

    # -- documents -----------------------------------------------------------------------------------------------

    def _document(self) -> PoolsDocument:
        kept = self._keeper.kept
        return kept.document if kept is not None else PoolsDocument(skerry_pools=1, pools=[])

    def _offer(self, kept: Kept) -> Outcome:
        with self._offering:
            answer = self._answered_already(kept)
            if answer is not None:
                return answer
            wrong = findings(kept.document)
            if wrong:
                return self._refuse(kept, Rejected(order=kept.document.order, code="invalid", words="\n".join(wrong)))
            self._wait_for_turn(kept)
            with self._changing:
                return self._take(kept)

    def _answered_already(self, kept: Kept) -> Outcome | None:
        runs, order = self._keeper.kept, kept.document.order
        if runs is not None and (runs.fingerprint, runs.origin) == (kept.fingerprint, kept.origin):
            self._rejections.applied()
            self._teller.clear(health.POOLS_REJECTED.code)
            return Applied(order=order, reloaded=False)
        if runs is not None and runs.origin == kept.origin == "centre" and order <= runs.document.order:
            return Rejected(order=order, code="outdated", words=f"order {runs.document.order} runs here")
        return self._rejections.find(kept.fingerprint)

    def _take(self, kept: Kept) -> Outcome:
        order = kept.document.order
        try:
            reloaded = self._keeper.make_so(kept)
        except ConfigurationRejected as error:
            return self._refuse(kept, Rejected(order=order, code=error.code, words=str(error)))
        except OSError as error:
            words = f"the disk did not take it: {error.strerror or error}"
            return self._refuse(kept, Rejected(order=order, code="cannot_be_kept", words=words))
        self._keeper.kept = kept
        self._rejections.applied()
        self._teller.clear(health.POOLS_REJECTED.code, health.POOLS_DAMAGED.code, health.NOT_AS_WANTED.code)
        try:
            self._kept_file.write(kept)
        except OSError as error:
            log.error("pools.not_kept", error=str(error))
        self._keeper.look()
        return Applied(order=order, reloaded=reloaded)

    def _refuse(self, kept: Kept, rejected: Rejected) -> Rejected:
        self.tally.rejected += 1
        self._rejections.remember(kept.fingerprint, rejected)
        self._hold_rejected(rejected)
        log.error("pools.rejected", order=rejected.order, code=rejected.code, words=rejected.words)
        self._wake.set()
        return rejected

    def _wait_for_turn(self, kept: Kept) -> None:
        """Reloads are kept apart, because each leaves a worker that waits for its last association."""
        while not self._stopping.is_set() and (left := self._keeper.turn_in(kept)) > 0:
            self._stopping.wait(left)

    def _hold_rejected(self, rejected: Rejected) -> None:
        words = f"{health.POOLS_REJECTED.text} Why: {rejected.words[:1000]}"
        self._teller.hold(replace(health.POOLS_REJECTED, text=words))

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._wake.wait(self._look_seconds)
            self._wake.clear()
            if self._stopping.is_set():
                return
            try:
                with self._changing:
                    self._keeper.look()
            except Exception as error:  # whatever it was, the next second may be better, and the loop must not end
                log.exception("reconcile.failed", error=type(error).__name__)
            self._looked_at = time.monotonic()
