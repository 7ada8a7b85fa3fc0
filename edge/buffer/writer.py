"""The only thread of a process that writes the buffer database: many small changes, one FULL commit.

A change runs inside a savepoint of its own, so a bad one fails alone; its caller hears of it after the commit.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import apsw
import structlog

from edge.buffer.database import open_writer
from edge.buffer.turn import Turn
from edge.errors import EdgeError

GROUP_LIMIT = 64
"""Changes in one transaction: enough to share a sync, few enough to keep the write lock short."""
PATIENCE_SECONDS = 0.02
"""How long changes that nobody waits for may wait for others to share a commit with."""

log = structlog.get_logger(__name__)
T = TypeVar("T")


@dataclass(slots=True)
class _Change:
    apply: Callable[[apsw.Connection], Any]
    done: Future[Any]
    bare: bool = False
    """Runs outside of any transaction."""
    patient: bool = False
    """Nobody waits for it yet."""
    result: Any = None
    error: Exception | None = None


class Writer:
    """Owns this process's writing connection. A change is done when it is committed with `synchronous=FULL`."""

    def __init__(self, path: Path) -> None:
        self._turn = Turn(path)
        with self._turn:
            self._connection = open_writer(path)
        self._changes: queue.SimpleQueue[_Change | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="buffer-writer", daemon=True)
        self._closed = False
        self._thread.start()

    def write(self, apply: Callable[[apsw.Connection], T]) -> T:
        """Run one change in a transaction and return what it returned, after the commit.

        Raises:
            Exception: whatever the change raised (it is undone), or what the commit raised (all are undone).
        """
        result: T = self._ask(_Change(apply, Future())).result()
        return result

    def write_soon(self, apply: Callable[[apsw.Connection], T]) -> Future[T]:
        """Run one change within the next hundredths of a second; the future ends as `write` would."""
        return self._ask(_Change(apply, Future(), patient=True))

    def checkpoint(self) -> None:
        """A PASSIVE checkpoint between two commits, on the writer's own connection."""
        self._changes.put(_Change(_checkpoint, Future(), bare=True))

    def alive(self) -> bool:
        """Whether the thread still works."""
        return self._thread.is_alive()

    def close(self) -> None:
        """Finish what was asked for, then give the file back."""
        self._closed = True
        self._changes.put(None)
        self._thread.join()
        self._connection.close()
        self._turn.close()

    def _ask(self, change: _Change) -> Future[Any]:
        if self._closed:
            raise EdgeError("the buffer is closed")
        self._changes.put(change)
        return change.done

    def _run(self) -> None:
        while True:
            group = self._group()
            for change in group:
                if change is not None and change.bare:
                    change.apply(self._connection)
            changes = [change for change in group if change is not None and not change.bare]
            if changes:
                self._commit(changes)
            if group[-1] is None:
                return

    def _group(self) -> list[_Change | None]:
        """What is asked for now; while nobody waits for any of it, also what is asked for in the next moment."""
        group = [self._changes.get()]
        until = time.monotonic() + PATIENCE_SECONDS
        while len(group) < GROUP_LIMIT and (last := group[-1]) is not None:
            # A change that somebody waits for ends the waiting for all, but takes along what is there already.
            pause = until - time.monotonic() if last.patient else 0.0
            if not last.patient:
                until = 0.0
            try:
                group.append(self._changes.get(timeout=pause) if pause > 0 else self._changes.get_nowait())
            except queue.Empty:
                break
        return group

    def _commit(self, changes: list[_Change]) -> None:
        try:
            with self._turn:
                self._transaction(changes)
        except Exception as error:
            # Callers first: whatever else fails now, none of them may wait for ever.
            for change in changes:
                change.done.set_exception(error)
            log.exception("buffer.commit_failed", changes=len(changes))
            return
        for change in changes:
            if change.error is None:
                change.done.set_result(change.result)
            else:
                change.done.set_exception(change.error)

    def _transaction(self, changes: list[_Change]) -> None:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            for change in changes:
                self._apply(change)
            self._connection.execute("COMMIT")
        except Exception:
            if not self._connection.get_autocommit():
                self._connection.execute("ROLLBACK")
            raise

    def _apply(self, change: _Change) -> None:
        self._connection.execute("SAVEPOINT change")
        try:
            change.result = change.apply(self._connection)
        except apsw.FullError:
            raise  # the disk is full for everybody in this group
        except Exception as error:
            change.error = error
            self._connection.execute("ROLLBACK TO change")
        self._connection.execute("RELEASE change")


def _checkpoint(connection: apsw.Connection) -> None:
    try:
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
    except apsw.Error:
        log.warning("buffer.checkpoint_failed", exc_info=True)  # the WAL stays longer; nothing is lost
