"""Follows a pool file: what a person saves is offered to the manager within seconds."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import structlog

from haproxy.errors import SettingsError
from haproxy.manager import health
from haproxy.manager.site import Site
from haproxy.pool_file import PoolFile, read_pool_file

log = structlog.get_logger(__name__)
LOOK_SECONDS = 1.0


class FileWatch:
    """One file, looked at every second. A file that is wrong is a condition; what ran before goes on."""

    def __init__(self, path: Path, site: Site, *, look_seconds: float = LOOK_SECONDS) -> None:
        self._path = path
        self._site = site
        self._look_seconds = look_seconds
        self._seen: tuple[int, int, int] | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pool-file", daemon=True)

    def start(self) -> None:
        """Offer what is in it now, and follow it. Never raises: a site with a wrong file starts with what it had."""
        self.look()
        self._thread.start()

    def stop(self) -> None:
        """Follow it no longer."""
        self._stopping.set()
        self._thread.join(10)

    def look(self) -> None:
        """Read it if it is another one than it was."""
        mark = self._mark()
        if mark is not None and mark == self._seen:
            return
        try:
            read = read_pool_file(self._path)
        except SettingsError as error:
            self._hold(f"{error}: {error.hint}" if error.hint else str(error), mark)
            return
        self._seen = mark
        self._offer(read)

    def _offer(self, read: PoolFile) -> None:
        self._site.clear(health.POOL_FILE.code)
        # What was refused is a condition of the manager's own, with HAProxy's words.
        self._site.offer_file(read.document, fingerprint=read.fingerprint)

    def _hold(self, words: str, mark: tuple[int, int, int] | None) -> None:
        if self._seen != mark or mark is None:
            log.error("pools.file_wrong", words=words)
        self._seen = mark
        self._site.hold(replace(health.POOL_FILE, text=f"{health.POOL_FILE.text} Why: {words[:1000]}"))

    def _mark(self) -> tuple[int, int, int] | None:
        try:
            facts = self._path.stat()
        except OSError:
            return None
        return facts.st_ino, facts.st_mtime_ns, facts.st_size

    def _run(self) -> None:
        while not self._stopping.wait(self._look_seconds):
            self.look()
