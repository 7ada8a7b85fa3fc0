"""The node's side of a local override: takes it up, counts its time, and goes back to the control plane's policy."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import structlog

from edge.errors import PolicyError
from edge.health import POLICY_OVERRIDDEN, Condition, HealthBoard
from edge.policy.document import Policy, load_policy
from edge.policy_override import Override, OverrideFiles

log = structlog.get_logger(__name__)
LOOK_SECONDS = 1.0
NOTE_SECONDS = 60.0


class Overriding:
    """`use` is called with the override's policy when it comes into force, and with None when it ends.

    `audit` keeps that it ended by itself. Everything is done in one thread, but `current` is for any.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        health: HealthBoard,
        use: Callable[[Policy | None], None],
        audit: Callable[[str, str], None] = lambda _action, _reason: None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._files, self._health, self._use, self._audit = OverrideFiles(data_dir), health, use, audit
        self._now, self._monotonic = now, monotonic
        self._stamp: tuple[int, int] = (0, 0)
        self._used = self._counted_at = self._noted_at = 0.0
        self.current: Override | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="override", daemon=True)

    def start(self) -> None:
        """Go on looking."""
        self._thread.start()

    def stop(self) -> None:
        """End, with the time that has passed noted."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(2.0)
        self._note()

    def step(self) -> None:
        """Look once: is there another one, is there none any more, is its time over?"""
        if (stamp := self._files.stamp()) != self._stamp:
            self._stamp = stamp
            self._take(self._files.read())
        if self.current is None:
            return
        moment = self._monotonic()
        self._used, self._counted_at = self._used + moment - self._counted_at, moment
        if self._used >= self.current.seconds:
            self._expire(self.current)
        elif moment - self._noted_at >= NOTE_SECONDS:
            self._note()

    def _take(self, found: Override | None) -> None:
        if found is None:
            if self.current is not None:
                self._finish("policy.override-ended")
            return
        try:
            policy = load_policy(found.text)
        except PolicyError as error:
            # The command checked it; another version of the node may still refuse it.
            log.error("policy.override-cannot-run", error=str(error), hint=error.hint)
            if self.current is not None:
                self._finish("policy.override-ended")
            return
        self._used, self._counted_at = self._files.used(found, self._now()), self._monotonic()
        if self._used >= found.seconds:
            self._expire(found)  # while the node did not run
            return
        self.current = found
        self._use(policy)
        self._health.raise_condition(_condition(found))
        log.warning("policy.overridden", policy=policy.label, by=found.placed_by, seconds=found.seconds)
        self._note()

    def _expire(self, override: Override) -> None:
        self._files.end()
        self._stamp = self._files.stamp()
        self._finish("policy.override-expired")
        self._audit("override expired", f"placed by {override.placed_by} at {override.placed_at}")

    def _finish(self, event: str) -> None:
        self.current = None
        self._use(None)
        self._health.clear(POLICY_OVERRIDDEN.code)
        log.info(event)

    def _note(self) -> None:
        self._noted_at = self._monotonic()
        if self.current is None:
            return
        try:
            self._files.note_used(self.current, self._used, self._now())
        except OSError as error:
            log.warning("policy.override-time-not-saved", error=str(error))

    def _run(self) -> None:
        while not self._stopping.wait(LOOK_SECONDS):
            try:
                self.step()
            except Exception:
                log.exception("policy.override-look-failed")


def _condition(override: Override) -> Condition:
    hours = override.seconds / 3600
    because = f": {override.reason}" if override.reason else ""
    text = (
        f"A policy that {override.placed_by} placed here at {override.placed_at[:16]}Z for {hours:g} h runs instead of "
        f"the control plane's{because}."
    )
    return POLICY_OVERRIDDEN.saying(text)
