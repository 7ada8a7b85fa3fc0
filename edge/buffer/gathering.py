"""Series and studies that routes wait for, as rows: opened and kept busy by what comes, closed when they are complete.

When that is, `completeness.py` says.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import apsw

from edge.buffer.completeness import Gathering, Presence, time_passed
from edge.buffer.database import run
from edge.buffer.expected import UNASKED, Expected, NeverCame, expected_of, go_without, named_by, never_came
from edge.buffer.seal import to_microseconds
from edge.buffer.writer import Writer
from edge.model import Priority, RoutedInstance, Wait

_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gone:
    """Why a series or study went."""

    outcome: str
    """`all-here`, `quiet`, `missing`, `gaps`, `at-most` or `by-hand`."""
    named: int = 0
    """Images that were announced."""
    missing: int = 0
    """How many of those it went without."""

    @property
    def reason(self) -> str:
        """What its deliveries say of it."""
        if self.missing:
            return f"went without {self.missing} of {self.named} images that were announced"
        return "went with gaps in the numbers of its images" if self.outcome == "gaps" else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What a look at the time found."""

    open: int
    """Series and studies that still wait."""
    gone: int
    """Those that went just now."""
    deliveries: int
    """What they were."""
    outcomes: Sequence[Gone] = field(default=(), compare=False)
    """Why each of them went."""


NOTHING = Look(open=0, gone=0, deliveries=0)


class Gatherings:
    """The series and studies that a node waits for."""

    def __init__(self, reader: Callable[[], apsw.Connection], writer: Writer, due: Callable[[], None]) -> None:
        """`due` is called when there is more to send."""
        self._reader, self._writer, self._due = reader, writer, due

    def look(self, passed: timedelta, is_open: Callable[[int], bool]) -> Look:
        """Count this time, and let go what is complete. `is_open` tells whether an association still is."""
        if not run(self._reader(), "anything_gathers")[0]["gathers"]:
            return NOTHING
        found = self._writer.write(lambda connection: _look(connection, passed, is_open))
        if found.deliveries:
            self._due()
        return found

    def never_came(self, within: timedelta) -> NeverCame:
        """What is missing where a series or study went on without it lately."""
        return never_came(self._reader(), to_microseconds(datetime.now(UTC) - within))


def gather(connection: apsw.Connection, row_id: int, routed: RoutedInstance, destination: str, now: int) -> int | None:
    """Add the delivery as one that waits, inside the caller's transaction; None when nobody could say for what."""
    wait = routed.decision.waits[destination]
    uid = routed.study_instance_uid if wait.scope == "study" else routed.series_instance_uid
    if not uid:
        return None
    group = _join(connection, wait, uid)
    if routed.sealed.facts.association:
        run(connection, "gather_from", gathering=group, association=routed.sealed.facts.association)
    (row,) = run(
        connection,
        "add_gathering_delivery",
        instance=row_id,
        destination=destination,
        priority=routed.decision.priorities.get(destination, Priority.NORMAL),
        reason=f"waits for the rest of its {wait.scope}, as route {wait.route} says",
        gathering=group,
        now=now,
    )
    return int(row["id"])


def shown(connection: apsw.Connection, row: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """An open series or study, for people: how much of it is here, and when it goes."""
    expected = expected_of(connection, row["id"], row["scope"], row["uid"])
    group = _with_gaps(connection, row, _group(row, expected.presence), expected)
    return {
        "route": row["route"],
        "scope": row["scope"],
        "uid": row["uid"],
        "images": row["images"],
        "goes_at": _moment(now + group.left),
        "goes_at_latest": _moment(now + group.cap_left),
        "gaps": group.presence is Presence.GAPS,
        "announced": asdict(named_by(connection, expected.ids)) if expected.ids else None,
    }


def _join(connection: apsw.Connection, wait: Wait, uid: str) -> int:
    (row,) = run(
        connection,
        "join_gathering",
        route=wait.route,
        scope=wait.scope,
        uid=uid,
        quiet=wait.quiet // _MICROSECOND,
        at_most=wait.at_most // _MICROSECOND,
        missing_quiet=wait.missing // _MICROSECOND,
    )
    return int(row["id"])


def _look(connection: apsw.Connection, passed: timedelta, is_open: Callable[[int], bool]) -> Look:
    busy, over = set(), []
    for row in run(connection, "gathering_senders"):
        if is_open(row["association"]):
            busy.add(row["gathering"])
        else:
            over.append(row["association"])
    if over:
        run(connection, "senders_gone", associations=json.dumps(over))
    now = to_microseconds(datetime.now(UTC))
    counted: list[tuple[int, int, int]] = []
    outcomes: list[Gone] = []
    deliveries = 0
    for row in run(connection, "gatherings"):
        group = time_passed(_group(row, Presence.UNKNOWN), passed, busy=row["id"] in busy)
        still_sent = row["id"] in busy and not group.complete  # whatever was announced, it stays
        expected = UNASKED if still_sent else expected_of(connection, row["id"], row["scope"], row["uid"])
        group = replace(group, presence=expected.presence)
        if group.complete:
            group = _with_gaps(connection, row, group, expected)
        if group.complete or not row["wanted"]:
            outcome = _outcome(connection, group, expected, wanted=bool(row["wanted"]), now=now)
            deliveries += _let_go(connection, row["id"], outcome.reason, now)
            outcomes.append(outcome)
        else:
            counted.append((row["id"], group.quiet_for // _MICROSECOND, group.open_for // _MICROSECOND))
    run(connection, "count_time", passed=json.dumps(counted))
    return Look(open=len(counted), gone=len(outcomes), deliveries=deliveries, outcomes=outcomes)


def _outcome(connection: apsw.Connection, group: Gathering, expected: Expected, *, wanted: bool, now: int) -> Gone:
    if not wanted:
        return Gone(outcome="by-hand")
    if group.presence is Presence.ALL_HERE and group.quiet_for:
        return Gone(outcome="all-here")
    if group.presence is Presence.MISSING:
        counts = go_without(connection, expected.ids, now)
        return Gone(outcome="missing", named=counts.named, missing=counts.missing)
    quiet = "gaps" if group.presence is Presence.GAPS else "quiet"
    return Gone(outcome=quiet if group.quiet_for >= group.needed_quiet else "at-most")


def _with_gaps(connection: apsw.Connection, row: Mapping[str, Any], group: Gathering, expected: Expected) -> Gathering:
    """Looked for only where nothing better is known: senders count in many ways."""
    if expected.ids:
        return group
    series = row["uid"] if row["scope"] == "series" else None
    gaps = run(connection, "gaps", id=row["id"], series=series)[0]["gaps"]
    return replace(group, presence=Presence.GAPS) if gaps else group


def _let_go(connection: apsw.Connection, group: int, reason: str, now: int) -> int:
    ids = [row["id"] for row in run(connection, "gathered", id=group, reason=reason, now=now)]
    run(connection, "tell_together", ids=json.dumps(ids), now=now)
    run(connection, "forget_senders", id=group)
    run(connection, "close_gathering", id=group)
    return len(ids)


def _group(row: Mapping[str, Any], presence: Presence) -> Gathering:
    return Gathering(
        presence=presence,
        missing_quiet=row["missing_quiet"] * _MICROSECOND,
        quiet=row["quiet"] * _MICROSECOND,
        at_most=row["at_most"] * _MICROSECOND,
        quiet_for=row["quiet_for"] * _MICROSECOND,
        open_for=row["open_for"] * _MICROSECOND,
    )


def _moment(when: datetime) -> str:
    return when.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
