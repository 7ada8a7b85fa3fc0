"""Looking at a buffer from another process than the one that runs the node."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from edge.buffer import rows
from edge.buffer.database import open_reader, run
from edge.buffer.expected import expected_of, named_by
from edge.buffer.gathering import shown
from edge.buffer.seal import from_microseconds, to_microseconds
from edge.errors import SettingsError, UnknownInstance
from edge.model import BufferCounts, Priority, SealedInstance

Record = dict[str, Any]
_INTERNAL = (
    *("id", "checksum", "instance_number", "data_set_offset", "shared_uids", "routed_to"),
    *("vacated", "replaced", "settled_at"),
)
READ_TOGETHER = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueFilter:
    """Which deliveries a person asks for."""

    destination: str | None = None
    state: str | None = None
    limit: int = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """An instance in the spool, and what was decided of it."""

    sealed: SealedInstance
    study_instance_uid: str
    series_instance_uid: str
    routed: bool
    destinations: frozenset[str]
    priorities: Mapping[str, Priority]
    """How urgent it was for each."""
    waited: frozenset[str]
    """Those for which it waited for its series or study, or does."""


class BufferView:
    """Reads the buffer of a data directory; works while the node runs and when it does not."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / "edge.db"
        if not self._path.exists():
            raise SettingsError(
                f"{data_dir} holds no buffer",
                hint="Give the --data-dir of a node that ran, or `skerry-edge rebuild` when its database is lost.",
            )
        self._connection = open_reader(self._path)

    def counts(self) -> BufferCounts:
        """How full the buffer is."""
        return rows.counts(run(self._connection, "counts")[0], datetime.now(UTC))

    def by_priority(self) -> dict[str, dict[str, int]]:
        """Every delivery that has a row, by priority and state."""
        return rows.by_priority(rows.tally(run(self._connection, "tally")))

    def destinations(self) -> list[Record]:
        """Deliveries by destination and state, with the oldest arrival of each."""
        found = run(self._connection, "destinations")
        return [{**row, "oldest": _time(row["oldest"])} for row in found]

    def queue(self, wanted: QueueFilter) -> list[Record]:
        """Deliveries that are not delivered, oldest first."""
        found = run(
            self._connection,
            "queue",
            destination=wanted.destination,
            state=wanted.state,
            limit=wanted.limit,
        )
        resting = {
            key.removeprefix("destination."): str(note["value"])
            for key, note in self.notes().items()
            if key.startswith("destination.") and note["value"] != "up"
        }
        groups = self._groups()
        timed = [_with_times(row, "not_before", "changed_at", "received_at") for row in found]
        return [
            {
                **row,
                "priority": Priority(row["priority"]).word,
                "reason": row["reason"] or resting.get(row["destination"], ""),
                "gathering": _group(row, groups),
            }
            for row in timed
        ]

    def trace(self, uid: str) -> list[Record]:
        """Every arrival under a SOP instance, series or study UID or an instance id, with why and where it went.

        Raises:
            UnknownInstance: nothing is known under it.
        """
        found = run(self._connection, "trace", uid=uid)
        if not found:
            raise UnknownInstance(f"nothing is known here under {uid}")
        ids = json.dumps([row["id"] for row in found])
        deliveries = run(self._connection, "trace_deliveries", instances=ids)
        groups = self._groups()
        shown_as = [{**one, "gathering": _group(one, groups)} for one in deliveries]
        announced = {study: self._announced(study) for study in {row["study_instance_uid"] for row in found}}
        return [
            {
                **_traced(row, [one for one in shown_as if one["instance"] == row["id"]]),
                "announced": announced[row["study_instance_uid"]],
            }
            for row in found
        ]

    def gatherings(self) -> list[Record]:
        """Series and studies that routes wait for, with how much of each is here and when it goes."""
        return list(self._groups().values())

    def _announced(self, study: str) -> Record | None:
        """How many images modalities announced of a study, and how many of them never came."""
        expected = expected_of(self._connection, 0, "study", study)
        return asdict(named_by(self._connection, expected.ids)) if study and expected.ids else None

    def _groups(self) -> dict[int, Record]:
        now = datetime.now(UTC)
        found = run(self._connection, "gathering_shown")
        return {row["id"]: shown(self._connection, row, now) for row in found if row["images"]}

    def held_under(self, uid: str, *, limit: int) -> list[SealedInstance]:
        """What is still in the spool under a UID or an instance id, the newest first.

        Raises:
            UnknownInstance: nothing is held under it.
        """
        found = run(self._connection, "in_spool_under", uid=uid, limit=limit)
        if not found:
            raise UnknownInstance(f"nothing is held here under {uid}")
        return [rows.sealed(row) for row in found]

    def held_since(self, since: datetime) -> Iterator[Held]:
        """Everything that is still in the spool and arrived since then; read in pages, so that it may be much."""
        after, start = 0, to_microseconds(since)
        while found := run(self._connection, "in_spool_since", after=after, since=start, limit=READ_TOGETHER):
            after = found[-1]["id"]
            yield from map(_held, found)

    def held_newest(self, limit: int) -> list[Held]:
        """What arrived last of that which is still in the spool, the newest first."""
        return [_held(row) for row in run(self._connection, "in_spool_newest", limit=limit)]

    def close(self) -> None:
        """Give the connection back, for who looks now and then."""
        self._connection.close()

    def notes(self) -> dict[str, Record]:
        """The facts that the node wrote down last, each with its time."""
        return {
            row["key"]: {"value": row["value"], "written_at": _time(row["written_at"])}
            for row in run(self._connection, "notes")
        }


def _held(row: Mapping[str, Any]) -> Held:
    sent_to = json.loads(row["sent_to"])
    return Held(
        sealed=rows.sealed(row),
        study_instance_uid=row["study_instance_uid"],
        series_instance_uid=row["series_instance_uid"],
        routed=bool(row["policy"]),
        destinations=frozenset(name for name, _priority, _waited in sent_to),
        priorities={name: Priority(priority) for name, priority, _waited in sent_to},
        waited=frozenset(name for name, _priority, waited in sent_to if waited),
    )


def _group(delivery: Mapping[str, Any], groups: Mapping[int, Record]) -> Record | None:
    return groups.get(delivery["gathering"]) if delivery["state"] == "gathering" else None


def _traced(row: Mapping[str, Any], deliveries: Sequence[Mapping[str, Any]]) -> Record:
    record = _with_times(row, "received_at", "released_at")
    record["outcomes"] = json.loads(row["outcomes"])
    record["flags"] = json.loads(row["flags"])
    for internal in _INTERNAL:
        record.pop(internal)
    record["deliveries"] = [
        {
            **{key: value for key, value in _with_times(one, "changed_at", "not_before").items() if key != "instance"},
            "priority": Priority(one["priority"]).word,
        }
        for one in deliveries
    ]
    return record


def _with_times(row: Mapping[str, Any], *columns: str) -> Record:
    return {**row, **{column: _time(row[column]) for column in columns}}


def _time(microseconds: int | None) -> str | None:
    return rows.rfc3339(from_microseconds(microseconds)) if microseconds else None
