"""What people asked of instances, put back into an index that has lost it: before anything of them can be sent."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import apsw

from edge.buffer.database import first, run
from edge.buffer.deed_journal import DeedJournal, Entry
from edge.buffer.deeds import because
from edge.buffer.states import DeliveryEvent
from edge.buffer.transitions import Transition, take
from edge.buffer.writer import Writer
from edge.errors import IllegalTransition
from edge.model import Priority

HELD, DISCARDED = "held", "discarded"
TOGETHER = 500
LARGEST_BYTES = 8 << 20
"""A bulk action on 10,000 deliveries writes half a megabyte."""
MOST_AUDITED = 10_000
_EVENTS = {HELD: DeliveryEvent.HELD_BY_OPERATOR, DISCARDED: DeliveryEvent.DISCARDED_BY_OPERATOR}
_UNCERTAIN = "the node stopped in the middle of what a person did here: {action}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What people last wanted of an instance at one destination; `steps` are of the instance, under no destination."""

    standing: str = ""
    sent_here: bool = False
    reason: str = ""
    steps: str = ""


def wanted(entries: Iterable[Entry]) -> dict[tuple[str, str], Asked]:
    """What stands after all these, by instance and destination (pure)."""
    found: dict[tuple[str, str], Asked] = {}
    for entry in entries:
        for destination, instances in entry.of.items():
            for instance in instances:
                _follow(found, entry, instance, destination)
    return {key: asked for key, asked in found.items() if asked != Asked()}


def _follow(found: dict[tuple[str, str], Asked], entry: Entry, instance: str, destination: str) -> None:
    key = (instance, destination)
    before = found.get(key, Asked())
    if not entry.certain:
        if entry.action != "hold" and before.standing == DISCARDED:
            return
        reason = _UNCERTAIN.format(action=entry.action)
        found[key] = replace(before, standing=HELD, reason=reason)
        return
    if entry.steps:
        found[instance, ""] = Asked(steps=entry.steps)
    match entry.action:
        case "hold":
            found[key] = replace(before, standing=HELD, reason=because("held back by an operator", entry.reason))
        case "discard":
            found[key] = replace(before, standing=DISCARDED, reason=because("discarded by an operator", entry.reason))
        case "reroute":
            reason = f"sent to {entry.to} instead, by an operator"
            found[key] = replace(before, standing=DISCARDED, reason=reason)
            there = found.get((instance, entry.to), Asked())
            if there.standing in ("", DISCARDED):
                found[instance, entry.to] = Asked(sent_here=True, reason="sent here by an operator")
        case "release" | "fix":
            found[key] = replace(before, standing="", reason="")


class Remembered:
    """The memory of one buffer: filled when its index is not the one that people worked with."""

    def __init__(self, data_dir: Path, reader: Callable[[], apsw.Connection], writer: Writer) -> None:
        self._journal, self._reader, self._writer = DeedJournal(data_dir), reader, writer
        self.is_needed = bool(run(reader(), "any_asked"))

    def recall(self) -> int:
        """Take over what the journal holds; for how many instances and destinations something is asked."""
        entries = self._journal.entries()
        if not entries:
            return 0
        asked = wanted(entries)
        self._writer.write(partial(_remember_deeds, entries=entries))
        keys = list(asked)
        for start in range(0, len(keys), TOGETHER):
            part = {key: asked[key] for key in keys[start : start + TOGETHER]}
            self._writer.write(partial(_remember, asked=part))
        self.is_needed = bool(asked)
        return len(asked)

    def forget_strangers(self) -> None:
        """Every file of the spool has its row: nobody asks any more for what has none."""
        if self.is_needed:
            self._writer.write(lambda connection: run(connection, "forget_strangers"))

    def tidy(self) -> None:
        """Keep a long journal short: of instances that left the spool nothing is needed but the audit."""
        if self._journal.size() > LARGEST_BYTES:
            self._writer.write(self._shorten)

    def _shorten(self, connection: apsw.Connection) -> None:
        """Inside a transaction, so that nobody else writes to the journal."""
        kept = []
        for entry in self._journal.entries():
            ids = json.dumps([one for of in entry.of.values() for one in of])
            here = {row["instance_id"] for row in run(connection, "known_ids", ids=ids) if row["held"]}
            of = {to: [one for one in instances if one in here] for to, instances in entry.of.items()}
            kept.append(replace(entry, of=of, steps=entry.steps if here else ""))
        about = [entry for entry in kept if any(entry.of.values())]
        audit = [entry for entry in kept if not any(entry.of.values())][-MOST_AUDITED:]
        chosen = {id(entry) for entry in (*about, *audit)}
        self._journal.replace_with([entry for entry in kept if id(entry) in chosen])


def apply_asked(connection: apsw.Connection, row_id: int, instance_id: str, now: int) -> None:
    """Do with the deliveries of this instance what people asked for, inside the transaction that makes them."""
    for row in run(connection, "asked_of", instance_id=instance_id):
        destination = row["destination"]
        if row["steps"]:
            run(connection, "write_fix", id=row_id, steps=row["steps"], now=now)
        delivery = first(connection, "delivery_to", instance=row_id, destination=destination)
        if delivery is None and row["sent_here"]:
            run(
                connection,
                "add_delivery",
                instance=row_id,
                destination=destination,
                priority=Priority.NORMAL,
                now=now,
            )
            delivery = first(connection, "delivery_to", instance=row_id, destination=destination)
        if delivery is not None and row["standing"]:
            with suppress(IllegalTransition):  # it is so already, or it was delivered
                event = _EVENTS[row["standing"]]
                take(connection, Transition(delivery_id=delivery["id"], event=event, reason=row["reason"]))
    run(connection, "forget_asked", instance_id=instance_id)


def _remember_deeds(connection: apsw.Connection, entries: list[Entry]) -> None:
    counts: dict[tuple[int, str], tuple[Entry, int]] = {}
    for entry in entries:
        key = (entry.done_at, entry.action)
        counts[key] = (entry, counts.get(key, (entry, 0))[1] + entry.deliveries)
    for entry, count in counts.values():
        run(
            connection,
            "recall_deed",
            now=entry.done_at,
            who=entry.who,
            action=entry.action,
            choice=entry.choice,
            reason=entry.reason,
            deliveries=count,
        )


def _remember(connection: apsw.Connection, asked: dict[tuple[str, str], Asked]) -> None:
    for (instance_id, destination), one in asked.items():
        run(
            connection,
            "ask",
            instance_id=instance_id,
            destination=destination,
            standing=one.standing,
            sent_here=int(one.sent_here),
            reason=one.reason,
            steps=one.steps,
        )
    ids = json.dumps(sorted({instance_id for instance_id, _ in asked}))
    for row in run(connection, "routed_among", ids=ids):
        apply_asked(connection, row["id"], row["instance_id"], row["received_at"])
