"""A configuration goes live whole and checked, or not at all: candidate, check, rename, reload, read back.

At every moment the file in place is one that HAProxy took, or is about to be asked for while the one before lies beside
it. A mark says which one HAProxy was last seen to run; without it, or with another, the manager asks again.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog

from haproxy.durable import publish, write_durably
from haproxy.errors import ConfigurationRejected, SocketError
from haproxy.manager.process import Haproxy
from haproxy.places import Places
from haproxy.sockets.tables import Processes

log = structlog.get_logger(__name__)
RELOAD_SECONDS = 20.0
VERIFY_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What HAProxy shall run."""

    text: str
    server_state: Callable[[], str]
    """What the new worker is told of its servers; made at the last moment, so that nothing said meanwhile is lost."""
    differences: Callable[[], str]
    """What HAProxy has otherwise than is wanted, in words; empty when it is as wanted."""


class Applier:
    """Makes one HAProxy run one configuration. One thread at a time."""

    def __init__(self, places: Places, haproxy: Haproxy) -> None:
        self._places = places
        self._haproxy = haproxy

    def runs(self, text: str) -> bool:
        """Whether HAProxy was last seen to run this, and it is in place."""
        try:
            return self._config_in_place() == text.encode() and self._mark().read_text() == _sum(text.encode())
        except OSError:
            return False

    def forget(self) -> None:
        """It was seen to run something else."""
        self._mark().unlink(missing_ok=True)

    def apply(self, wish: Wish) -> None:
        """Make HAProxy run it; when this returns it was read back.

        Raises:
            ConfigurationRejected: HAProxy goes on with what it ran before; the error has its words.
            OSError: the disk takes no files; nothing was changed.
        """
        content = wish.text.encode()
        write_durably(self._places.candidate, content)
        self._haproxy.check(self._places.candidate)
        before = self._config_in_place()
        found = self._haproxy.find()
        if found is None and not self._haproxy.ours_to_start:
            raise ConfigurationRejected("HAProxy does not answer; it is not this manager's to start", code="away")
        self._mark().unlink(missing_ok=True)
        if before is not None and before != content:
            write_durably(self._good(), before)
        write_durably(self._places.server_state, wish.server_state().encode())
        publish(self._places.candidate, self._places.config)
        try:
            self._go_live(found)
            self._read_back(wish)
        except ConfigurationRejected as refused:
            log.error("haproxy.rejected", code=refused.code, words=str(refused))
            self._go_back(before)
            raise
        with contextlib.suppress(OSError):  # without it, the next start of the manager asks for a reload too many
            write_durably(self._mark(), _sum(content).encode())
        log.info("haproxy.applied", reloaded=found is not None)

    def _go_live(self, found: Processes | None) -> None:
        if found is None:
            self._haproxy.start()
            return
        said = self._haproxy.log_size()
        self._haproxy.master.reload()
        deadline = time.monotonic() + RELOAD_SECONDS
        while time.monotonic() < deadline:
            now = self._haproxy.find()
            if now is not None and now.reloads > found.reloads:
                if now.failed:
                    words = self._haproxy.words_since(said) or "its master told that the reload failed; see its log"
                    raise ConfigurationRejected(words, code="reload_failed")
                if now.worker is not None and now.worker != found.worker:
                    return
            elif now is None and self._haproxy.ours_to_start and not self._haproxy.lives():
                raise ConfigurationRejected(
                    self._haproxy.words_since(said) or "HAProxy ended at the reload", code="reload_failed"
                )
            time.sleep(0.02)
        raise ConfigurationRejected(f"HAProxy did not reload within {RELOAD_SECONDS:g} s", code="reload_failed")

    def _read_back(self, wish: Wish) -> None:
        deadline = time.monotonic() + VERIFY_SECONDS
        while True:
            try:
                differs = wish.differences()
            except SocketError as error:
                differs = str(error)
            if not differs:
                return
            if time.monotonic() > deadline:
                raise ConfigurationRejected(f"HAProxy took it and runs otherwise: {differs}", code="not_verified")
            time.sleep(0.05)

    def _go_back(self, before: bytes | None) -> None:
        """Put back what was in place, and let HAProxy read it; a person reads of it when that fails, too."""
        if before is None:
            with contextlib.suppress(OSError):
                self._places.config.replace(self._places.candidate)
            return
        write_durably(self._places.config, before)
        try:
            self._go_live(self._haproxy.find())
        except ConfigurationRejected as error:
            log.error("haproxy.not_restored", words=str(error))
            return
        write_durably(self._mark(), _sum(before).encode())
        log.warning("haproxy.restored")

    def _config_in_place(self) -> bytes | None:
        try:
            return self._places.config.read_bytes()
        except FileNotFoundError:
            return None

    def _good(self) -> Path:
        return self._places.data_dir / "haproxy.cfg.before"

    def _mark(self) -> Path:
        return self._places.data_dir / "haproxy.cfg.running"


def _sum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
