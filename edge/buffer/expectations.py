"""What modalities announce of their images, written by who hears it: durable before the modality gets its answer.

UIDs only: of a performed procedure step (MPPS) and of a request for storage commitment nothing else is kept.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

import apsw

from edge.buffer.database import first, open_writer, run
from edge.buffer.seal import to_microseconds
from edge.buffer.turn import Turn
from edge.errors import EdgeError

MOST_STEPS = 100_000
"""Steps that are remembered at once: a large hospital reports some thousands in the days that one is kept."""
MOST_IN_ALL = 2_000_000
"""UIDs that are remembered at once. What is not remembered is not waited for; no image depends on it."""
SEVERAL = "-"
"""Where a UID would stand: they are of more than one."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """A series that a step made, with what it named of it so far."""

    uid: str
    instances: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepNews:
    """What one message says of a performed procedure step."""

    uid: str
    finished: bool
    """COMPLETED or DISCONTINUED: it makes nothing more."""
    study: str | None = None
    """None: nothing was said of it; empty: of none, or of several."""
    series: tuple[Series, ...] | None = None
    """All that it made so far; None: nothing was said of it."""


class Outcome(StrEnum):
    """What became of a message."""

    KEPT = "kept"
    KNOWN = "known"
    """There is a step under this UID."""
    UNKNOWN = "unknown"
    """There is none."""
    FINISHED = "finished"
    """It is over, and changes no more (PS3.4 section F.7.2.2.2)."""
    FULL = "full"
    """More is remembered than should be."""


class LedgerFailing(EdgeError):
    """What a modality announced could not be written down."""

    hint = "Images do not depend on it. Look at the disk, and at the log for what stands before this."


class Expectations:
    """For one process that receives. Threads take turns; a change is on the disk when its method returns."""

    def __init__(self, database: Path) -> None:
        """The file is opened when it is first needed: most nodes hear of no step."""
        self._path = database
        self._lock = threading.Lock()
        self._turn: Turn | None = None
        self._connection: apsw.Connection | None = None

    def begin(self, news: StepNews) -> Outcome:
        """A modality begins a step. Raises `LedgerFailing`."""
        return self._change(lambda connection: _begin(connection, news, _now()))

    def change(self, news: StepNews) -> Outcome:
        """It goes on with it, or ends it. Raises `LedgerFailing`."""
        return self._change(lambda connection: _change(connection, news, _now()))

    def asked(self, transaction: str, uids: Sequence[str]) -> Outcome:
        """A modality asks whether we keep all these. Raises `LedgerFailing`."""
        return self._change(lambda connection: _asked(connection, transaction, uids, _now()))

    def in_custody(self, uids: Sequence[str]) -> Mapping[str, str]:
        """Which of these lie in the spool, with their SOP classes. Raises `LedgerFailing`."""
        with self._lock:
            try:
                rows = run(self._open(), "in_custody", uids=json.dumps(list(uids)))
            except (apsw.Error, EdgeError, OSError) as error:
                raise LedgerFailing from error
        return {row["uid"]: row["sop_class"] for row in rows}

    def close(self) -> None:
        """Give the file back."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None
            if self._turn is not None:
                self._turn.close()
                self._turn = None

    def _open(self) -> apsw.Connection:
        if self._turn is None:
            self._turn = Turn(self._path)
        if self._connection is None:
            with self._turn:
                self._connection = open_writer(self._path)
        return self._connection

    def _change(self, apply: Callable[[apsw.Connection], T]) -> T:
        with self._lock:
            try:
                connection = self._open()
                assert self._turn is not None
                with self._turn, _transaction(connection):
                    return apply(connection)
            except (apsw.Error, EdgeError, OSError) as error:
                raise LedgerFailing from error


@contextmanager
def _transaction(connection: apsw.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if not connection.get_autocommit():
            connection.execute("ROLLBACK")
        raise


def _begin(connection: apsw.Connection, news: StepNews, now: int) -> Outcome:
    if run(connection, "steps_known")[0]["steps"] >= MOST_STEPS or _is_full(connection, news):
        return Outcome.FULL
    study = news.study or ""
    if first(connection, "begin_step", uid=news.uid, study=study, finished=news.finished, now=now) is None:
        return Outcome.KNOWN
    _write_series(connection, news, study, now)
    return Outcome.KEPT


def _change(connection: apsw.Connection, news: StepNews, now: int) -> Outcome:
    step = first(connection, "step", uid=news.uid)
    if step is None:
        return Outcome.UNKNOWN
    if step["finished"]:
        return Outcome.FINISHED
    if _is_full(connection, news):
        return Outcome.FULL
    study = step["study"] if news.study is None else news.study
    run(connection, "change_step", uid=news.uid, study=study, finished=news.finished, now=now)
    if news.series is None:
        run(connection, "finish_expectations", of=news.uid, final=news.finished, now=now)
    else:
        run(connection, "drop_expectations", source="step", of=news.uid)
        _write_series(connection, news, study, now)
    return Outcome.KEPT


def _asked(connection: apsw.Connection, transaction: str, uids: Sequence[str], now: int) -> Outcome:
    if run(connection, "named_in_all")[0]["named"] + len(uids) > MOST_IN_ALL:
        return Outcome.FULL
    run(connection, "drop_expectations", source="commitment", of=transaction)
    places = run(connection, "where_they_are", uids=json.dumps(list(uids)))
    study, series = (_only({row[key] for row in places}) for key in ("study", "series"))
    _write(connection, "commitment", transaction, Series(uid=series, instances=tuple(uids)), study, True, now)
    return Outcome.KEPT


def _write_series(connection: apsw.Connection, news: StepNews, study: str, now: int) -> None:
    for series in news.series or ():
        _write(connection, "step", news.uid, series, study, news.finished, now)


def _write(
    connection: apsw.Connection, source: str, of: str, series: Series, study: str, final: bool, now: int
) -> None:
    values = {"source": source, "of": of, "study": study, "series": series.uid, "final": final, "now": now}
    (row,) = run(connection, "add_expectation", **values)
    run(connection, "add_expected", id=row["id"], uids=json.dumps(series.instances))
    run(connection, "count_expected", id=row["id"])


def _is_full(connection: apsw.Connection, news: StepNews) -> bool:
    named = sum(len(series.instances) for series in news.series or ())
    return bool(named) and run(connection, "named_in_all")[0]["named"] + named > MOST_IN_ALL


def _only(found: set[str]) -> str:
    if len(found) > 1:
        return SEVERAL
    return next(iter(found), "")


def _now() -> int:
    return to_microseconds(datetime.now(UTC))
