"""What is expected of series and studies, as core sees it: images that come count it down, time forgets it.

A study is all here when the steps of it are over, have named each series' images, all of these came, and nothing waits
that they do not name. A request for commitment names what was sent so far, not what there will be: it may end the wait
for a series, never that for a study.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import apsw

from edge.buffer.completeness import Presence
from edge.buffer.database import Row, run
from edge.buffer.seal import to_microseconds
from edge.model import RoutedInstance

FEWEST_COMMITTED = 2
"""Some modalities ask after each image: one that names a single one says nothing of a series."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What was announced of one series or study."""

    presence: Presence
    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Images that were announced, each once."""

    named: int
    missing: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NeverCame:
    """What series and studies went on without."""

    images: int
    studies: int


MET_KEPT = timedelta(hours=1)
"""How long it is remembered that all came: a million images a day must not fill the index with that."""
UNMET_KEPT = timedelta(days=8)
"""How long what never came is remembered: longer than any series or study waits."""
FORGOTTEN_TOGETHER = 50
UNASKED = Expected(presence=Presence.UNKNOWN, ids=())


def came(connection: apsw.Connection, routed: Sequence[RoutedInstance]) -> None:
    """These have their rows, inside the caller's transaction: nobody waits for them any more."""
    by_uid = {one.sealed.sop_instance_uid: one for one in routed}
    if not by_uid:
        return
    places = set()
    for row in run(connection, "expected_came", uids=json.dumps(list(by_uid))):
        one = by_uid[row["uid"]]
        places.add((row["expectation"], one.study_instance_uid, one.series_instance_uid))
    for expectation, study, series in sorted(places):
        run(connection, "place_expectation", id=expectation, study=study, series=series)


def expected_of(connection: apsw.Connection, gathering: int, scope: str, uid: str) -> Expected:
    """What was announced of it, for this gathering of it."""
    rows = run(connection, f"expected_of_{scope}", uid=uid)
    if not rows:
        return UNASKED
    ids = tuple(row["id"] for row in rows)
    if any(row["missing"] for row in rows):
        waits = any(row["missing"] and _is_waited_for(row, gathering) for row in rows)
        return Expected(presence=Presence.MISSING if waits else Presence.UNKNOWN, ids=ids)
    here = _steps_name_all(connection, gathering, scope, uid, rows) or (
        scope == "series" and _one_request_names_all(connection, gathering, rows)
    )
    return Expected(presence=Presence.ALL_HERE if here else Presence.UNKNOWN, ids=ids)


def named_by(connection: apsw.Connection, ids: Sequence[int]) -> Counts:
    """How many images these name."""
    (row,) = run(connection, "expected_counts", expectations=json.dumps(ids))
    return Counts(named=row["named"], missing=row["missing"])


def go_without(connection: apsw.Connection, ids: Sequence[int], now: int) -> Counts:
    """It goes on without what is missing. What comes late waits for no more than its own quiet."""
    run(connection, "went_without", expectations=json.dumps(ids), now=now)
    return named_by(connection, ids)


def never_came(connection: apsw.Connection, since: int) -> NeverCame:
    """What went on incomplete since then, and still is."""
    (row,) = run(connection, "still_missing", since=since)
    return NeverCame(images=row["images"], studies=row["studies"])


def studies_of(connection: apsw.Connection, ids: str) -> str:
    """The studies of these instances; both as JSON."""
    return json.dumps([row["study"] for row in run(connection, "studies_of", ids=ids)])


def forget_with(connection: apsw.Connection, studies: str) -> None:
    """Forget what was announced of studies of which nothing else is remembered."""
    run(connection, "forget_expectations", studies=studies)
    run(connection, "forget_steps", studies=studies)


def done_with(connection: apsw.Connection, now: datetime) -> list[int] | None:
    """Expectations that need not be kept any more; None when there is nothing to forget."""
    met, unmet = to_microseconds(now - MET_KEPT), to_microseconds(now - UNMET_KEPT)
    ids = [row["id"] for row in run(connection, "done_with", met=met, unmet=unmet, limit=FORGOTTEN_TOGETHER)]
    return ids if ids or run(connection, "old_steps", unmet=unmet)[0]["old"] else None


def forget_done(connection: apsw.Connection, ids: Sequence[int], now: datetime) -> None:
    """Forget these, and steps of which nothing was heard for days."""
    run(connection, "drop_done", ids=json.dumps(ids))
    run(connection, "forget_old_steps", unmet=to_microseconds(now - UNMET_KEPT))


def _is_waited_for(row: Row, gathering: int) -> bool:
    return not row["gone_gathering"] or 0 < gathering <= row["gone_gathering"]


def _steps_name_all(connection: apsw.Connection, gathering: int, scope: str, uid: str, rows: Sequence[Row]) -> bool:
    steps = [row for row in rows if row["source"] == "step"]
    if not steps or not all(row["final"] and row["named"] for row in steps):
        return False
    if scope == "study" and run(connection, "step_goes_on", uid=uid)[0]["goes_on"]:
        return False
    return _name_all(connection, gathering, steps)


def _one_request_names_all(connection: apsw.Connection, gathering: int, rows: Sequence[Row]) -> bool:
    requests = [row for row in rows if row["source"] == "commitment" and row["named"] >= FEWEST_COMMITTED]
    return any(_name_all(connection, gathering, [row]) for row in requests)


def _name_all(connection: apsw.Connection, gathering: int, rows: Sequence[Row]) -> bool:
    ids = json.dumps([row["id"] for row in rows])
    return not run(connection, "not_named", gathering=gathering, expectations=ids)[0]["others"]
