"""One thread for one duty of the link: do, wait, back off, be woken; it never ends by itself."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import Protocol

import structlog

from edge.errors import UplinkError, UplinkUnreachable
from edge.sync.backoff import Backoff

log = structlog.get_logger(__name__)


class Duty(Protocol):
    """Something that the link does over and over."""

    @property
    def name(self) -> str:
        """For logs and thread names."""

    def step(self) -> float:
        """Do it once; say how many seconds to wait. Raises UplinkError when the centre did not answer."""


class DutyLoop:
    """Runs a duty until it is stopped, whatever the duty raises."""

    def __init__(
        self,
        duty: Duty,
        *,
        on_success: Callable[[str], None],
        on_fault: Callable[[str, Exception], None],
        backoff: Backoff,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._duty = duty
        self._on_success = on_success
        self._on_fault = on_fault
        self._backoff = backoff
        self._chance = chance
        self._wake = threading.Event()
        self._stopped = threading.Event()
        self._failures = 0
        self._thread = threading.Thread(target=self._run, name=f"link-{duty.name}", daemon=True)

    def start(self) -> None:
        """Return at once."""
        self._thread.start()

    def wake(self) -> None:
        """Do not wait any longer: something changed."""
        self._wake.set()

    def stop(self) -> None:
        """Ask it to end; `join` waits for it."""
        self._stopped.set()
        self._wake.set()

    def join(self, timeout: float) -> bool:
        """Whether it has ended within `timeout` seconds."""
        if self._thread.ident is None:
            return True
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._stopped.is_set():
            # Cleared before the step, so that a wake during the step is not lost.
            self._wake.clear()
            if self._stopped.is_set():
                return
            pause = self._once()
            if pause > 0:
                self._wake.wait(pause)

    def _once(self) -> float:
        try:
            pause = self._duty.step()
        except UplinkError as error:
            return self._failed(error)
        except Exception as error:
            # The link must outlive its own mistakes: the site's images do not depend on it, its operators do.
            if not self._stopped.is_set():
                log.exception("link.fault", duty=self._duty.name)
                self._on_fault(self._duty.name, error)
            self._failures += 1
            return self._backoff.delay(self._failures, self._chance())
        self._failures = 0
        self._on_success(self._duty.name)
        return pause

    def _failed(self, error: UplinkError) -> float:
        if self._stopped.is_set():
            return 0.0
        self._failures += 1
        asked = error.retry_after if isinstance(error, UplinkUnreachable) else 0.0
        pause = self._backoff.delay(self._failures, self._chance(), at_least=asked)
        log.warning("link.retry", duty=self._duty.name, failures=self._failures, pause_s=round(pause, 1))
        return pause
