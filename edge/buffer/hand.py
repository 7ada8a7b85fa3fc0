"""A person's hand on the queue: beside a node that runs, or does not. What it did stands in the audit."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import apsw

from edge.buffer import rows
from edge.buffer.database import open_reader, open_writer, run
from edge.buffer.deed_journal import DeedJournal, Entry
from edge.buffer.deeds import Together, discard, hold, release, reroutable, reroute
from edge.buffer.deliveries import WAKE_NOTE
from edge.buffer.seal import from_microseconds, to_microseconds
from edge.buffer.states import DeliveryEvent, DeliveryState, sources
from edge.buffer.turn import Turn
from edge.buffer.view import BufferView, Record
from edge.errors import UnknownInstance
from edge.model import SealedInstance
from edge.steps import Transform

CHANGES_TOGETHER = 500
"""Changes in one transaction: a node that runs waits for the write lock at most a fraction of a second."""
REQUEUED = (DeliveryState.RETRY_WAIT, DeliveryState.PARKED)
"""What is tried again when nobody says in which states."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which deliveries a person means: those that meet all of these."""

    uid: str | None = None
    """A SOP instance, series or study UID, or an instance id."""
    destination: str | None = None
    states: tuple[DeliveryState, ...] = ()
    """All that the action is possible in, when empty."""
    calling_ae_title: str | None = None
    route: str | None = None
    """Of instances that this route took."""
    before: datetime | None = None
    """Received before this."""
    reason: str | None = None
    """Words of the reason that they have."""


class Hand:
    """Changes the buffer of a data directory, a part at a time, so that a node that runs is not held up."""

    def __init__(self, data_dir: Path, *, who: str = "") -> None:
        """`who` is written beside what is done."""
        self._path, self._who = data_dir / "edge.db", who
        self._view, self._journal = BufferView(data_dir), DeedJournal(data_dir)
        self._reader = open_reader(self._path)

    def requeue(
        self, *, uid: str | None = None, destination: str | None = None, state: str | None = None, dry_run: bool
    ) -> int:
        """Release parked and waiting deliveries, or those in this state, to be tried at once; return how many.

        Raises:
            UnknownInstance: a UID was given and nothing is known under it.
        """
        states = REQUEUED if state is None else (DeliveryState(state),)
        return self.release(Choice(uid=uid, destination=destination, states=states), dry_run=dry_run)

    def release(self, choice: Choice, *, dry_run: bool) -> int:
        """Let these be tried at once, whatever they wait for; return how many.

        Raises:
            UnknownInstance: a UID was given and nothing is known under it.
        """
        found = self._chosen(choice, DeliveryEvent.RELEASED_BY_OPERATOR)
        if dry_run:
            return len(found)
        with self._changing() as connection:
            now = to_microseconds(datetime.now(UTC))
            run(connection, "write_note", key=WAKE_NOTE, value=str(now), now=now)
        return self._do("release", choice, "", found, release)

    def hold(self, choice: Choice, *, reason: str, dry_run: bool) -> int:
        """Send none of these until they are released; return how many. What is being sent is not torn off.

        Raises:
            UnknownInstance: a UID was given and nothing is known under it.
        """
        found = self._chosen(choice, DeliveryEvent.HELD_BY_OPERATOR)
        return len(found) if dry_run else self._do("hold", choice, reason, found, partial(hold, reason=reason))

    def discard(self, choice: Choice, *, reason: str, dry_run: bool) -> int:
        """Never send these; return how many. Their instances leave the spool as delivered ones do.

        Raises:
            UnknownInstance: a UID was given and nothing is known under it.
        """
        found = self._chosen(choice, DeliveryEvent.DISCARDED_BY_OPERATOR)
        return len(found) if dry_run else self._do("discard", choice, reason, found, partial(discard, reason=reason))

    def reroute(self, choice: Choice, *, to: str, dry_run: bool) -> int:
        """Send these to another destination instead; return how many. Who has one for there already gets no second.

        Raises:
            UnknownInstance: a UID was given and nothing is known under it.
        """
        found = reroutable(self._reader, self._chosen(choice, DeliveryEvent.DISCARDED_BY_OPERATOR), to=to)
        return len(found) if dry_run else self._do("reroute", choice, f"to {to}", found, partial(reroute, to=to), to=to)

    def fixable(self, uid: str) -> list[SealedInstance]:
        """The instances under a UID with a delivery that waits for a person.

        Raises:
            UnknownInstance: there is none.
        """
        found = run(self._reader, "fixable", uid=uid)
        if not found:
            raise UnknownInstance(f"nothing under {uid} is quarantined or parked")
        return [rows.sealed(row) for row in found]

    def fix(self, uid: str, transform: Transform, *, reason: str = "") -> int:
        """Change these instances so before whatever their destinations change, and release them; return how many.

        The steps stand beside the instance: its file stays as it was received. `reason` is for the audit: no values.

        Raises:
            UnknownInstance: nothing under it is quarantined or parked.
        """
        self.fixable(uid)
        steps = json.dumps(asdict(transform))
        with self._changing() as connection:
            now = to_microseconds(datetime.now(UTC))
            found = run(connection, "fixable", uid=uid)
            stuck: list[int] = []
            for row in found:
                run(connection, "write_fix", id=row["id"], steps=steps, now=now)
                stuck += [one["id"] for one in run(connection, "stuck_of", id=row["id"])]
            of = _named(connection, stuck)
            release(connection, stuck)
            entry = replace(self._entry("fix", Choice(uid=uid), reason), of=of, steps=steps, deliveries=len(stuck))
            deed = self._deed(connection, entry)
            run(connection, "count_deed", id=deed, deliveries=len(stuck))
            begun = self._journal.begin(entry)
        self._journal.did(begun)
        return len(found)

    def route_again(self, *, uid: str | None, dry_run: bool) -> int:
        """Let the policy in force decide anew about instances that go nowhere; return how many."""
        found = [row["id"] for row in run(self._reader, "nowhere", uid=uid)]

        def forget(connection: apsw.Connection, ids: Sequence[int]) -> int:
            for row_id in ids:
                run(connection, "forget_routing", id=row_id)
            return len(ids)

        return len(found) if dry_run else self._do("route again", Choice(uid=uid), "", found, forget, named=False)

    def release_events(self, *, dry_run: bool) -> int:
        """Tell the control plane once more of events that it could not read before; return how many."""
        count = int(run(self._reader, "set_aside_count")[0]["events"])
        if count and not dry_run:
            with self._changing() as connection:
                run(connection, "copy_set_aside")
                run(connection, "drop_set_aside")
                now = to_microseconds(datetime.now(UTC))
                run(connection, "write_note", key="link.set_aside", value="", now=now)
        return count

    def note(self, action: str, reason: str) -> None:
        """Write down something that was done beside the queue."""
        entry = self._entry(action, Choice(), reason)
        with self._changing() as connection:
            self._deed(connection, entry)
            begun = self._journal.begin(entry)
        self._journal.did(begun)

    def deeds(self, limit: int = 100) -> list[Record]:
        """What people did here, the newest first."""
        found = run(self._reader, "deeds", limit=limit)
        return [
            {
                **row,
                "done_at": rows.rfc3339(from_microseconds(row["done_at"])),
                "choice": json.loads(row["choice"]),
            }
            for row in found
        ]

    def _chosen(self, choice: Choice, event: DeliveryEvent) -> list[int]:
        if choice.uid is not None:
            self._view.trace(choice.uid)
        possible = [state for state in sources(event) if state in choice.states or not choice.states]
        found = run(
            self._reader,
            "chosen",
            uid=choice.uid,
            destination=choice.destination,
            states=json.dumps(possible),
            calling_ae_title=choice.calling_ae_title,
            route=choice.route,
            before=to_microseconds(choice.before) if choice.before else None,
            reason=choice.reason,
        )
        return [row["id"] for row in found]

    def _do(
        self,
        action: str,
        choice: Choice,
        reason: str,
        ids: Sequence[int],
        together: Together,
        *,
        to: str = "",
        named: bool = True,
    ) -> int:
        """`named`: the ids are those of deliveries, and what becomes of them is more than audit."""
        done, deed, entry = 0, 0, replace(self._entry(action, choice, reason), to=to)
        for start in range(0, len(ids), CHANGES_TOGETHER):
            part = ids[start : start + CHANGES_TOGETHER]
            with self._changing() as connection:
                deed = deed or self._deed(connection, entry)
                of = _named(connection, part) if named else {}
                count = together(connection, part)
                run(connection, "count_deed", id=deed, deliveries=count)
                begun = self._journal.begin(replace(entry, of=of, deliveries=count))
            self._journal.did(begun)
            done += count
        return done

    def _entry(self, action: str, choice: Choice, reason: str) -> Entry:
        asked = {key: value for key, value in asdict(choice).items() if value}
        now = to_microseconds(datetime.now(UTC))
        words = json.dumps(asked, default=str)
        return Entry(done_at=now, who=self._who, action=action, choice=words, reason=reason)

    def _deed(self, connection: apsw.Connection, entry: Entry) -> int:
        (row,) = run(
            connection,
            "add_deed",
            now=entry.done_at,
            who=entry.who,
            action=entry.action,
            choice=entry.choice,
            reason=entry.reason,
        )
        return int(row["id"])

    @contextmanager
    def _changing(self) -> Iterator[apsw.Connection]:
        turn = Turn(self._path)
        connection = open_writer(self._path)
        try:
            with turn:
                connection.execute("BEGIN IMMEDIATE")
                yield connection
                connection.execute("COMMIT")
        finally:
            connection.close()  # rolls back what was not committed
            turn.close()


def _named(connection: apsw.Connection, ids: Sequence[int]) -> dict[str, list[str]]:
    """The instances of these deliveries, by destination: what outlives the index."""
    found = run(connection, "named_deliveries", ids=json.dumps(list(ids)))
    return {row["destination"]: json.loads(row["instances"]) for row in found}
