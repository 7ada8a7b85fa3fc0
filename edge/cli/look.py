"""`skerry-edge status`, `queue` and `trace`: beside a node that runs, or does not, with no control plane."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from enum import StrEnum
from typing import Annotated, Any

import typer

from edge.buffer.view import BufferView, QueueFilter
from edge.cli.gathering import gathering_words, status_lines
from edge.cli.options import DataDir, Json
from edge.cli.words import age, counted, plain
from edge.data_dir import is_owned
from edge.errors import SettingsError

_INTERNAL_NOTES = ("epoch.", "link.sent", "lanes.", "policy.", "spool.")


class Unfinished(StrEnum):
    """States that `queue` can be asked for."""

    DUE = "due"
    SENDING = "sending"
    VERIFYING = "verifying"
    RETRY_WAIT = "retry_wait"
    PARKED = "parked"
    QUARANTINED = "quarantined"
    HELD = "held"
    GATHERING = "gathering"


def status(data_dir: DataDir, as_json: Json = False) -> None:
    """How full the buffer is, where things wait, and what the node last wrote down."""
    from edge.cli.override import told
    from edge.draining import Draining
    from edge.policy_override import OverrideFiles
    from edge.sync.trust import load_enrolment

    view = BufferView(data_dir)
    identity = load_enrolment(data_dir).identity
    usage = shutil.disk_usage(data_dir)
    notes = {key: note for key, note in view.notes().items() if not key.startswith(_INTERNAL_NOTES) and note["value"]}
    facts: dict[str, Any] = {
        "running": is_owned(data_dir),
        "node": {"node_id": identity.node_id, "site": identity.site, "name": identity.node_name} if identity else None,
        "buffer": asdict(view.counts()),
        "disk": {"free_bytes": usage.free, "total_bytes": usage.total},
        "deliveries": view.by_priority(),
        "destinations": view.destinations(),
        "gathering": view.gatherings(),
        "notes": notes,
        "override": told(OverrideFiles(data_dir)),
        "draining": asdict(drained) if (drained := Draining(data_dir).read()) else None,
    }
    print(json.dumps(facts, indent=2) if as_json else _status_text(facts))


def _status_text(facts: dict[str, Any]) -> str:
    node, counts, disk = facts["node"], facts["buffer"], facts["disk"]
    waiting = counted(counts["deliveries_waiting"], "delivery", "deliveries")
    if counts["deliveries_waiting"]:
        waiting += f", the oldest since {age(counts['oldest_waiting_seconds'])}"
    outbox = counted(counts["outbox_events"], "event")
    lines = [
        f"running   {'yes' if facts['running'] else 'no'}",
        f"node      {node['name'] + ' of ' + node['site'] if node else 'not enrolled: stands alone'}",
        f"accepted  {_standings(counts['standings'])}",
        f"in spool  {counted(counts['instances_held'], 'instance')}",
        f"waiting   {waiting}",
        f"parked    {counted(counts['deliveries_parked'], 'delivery', 'deliveries')} for a person",
        *_stopped(counts),
        f"nowhere   {counted(counts['instances_nowhere'], 'instance')} without a destination",
        f"outbox    {outbox} {'not yet at the centre' if node else 'kept for a later enrolment (the newest 10,000)'}",
        f"disk      {disk['free_bytes'] / 2**30:.1f} GiB free of {disk['total_bytes'] / 2**30:.1f}",
    ]
    if (override := facts["override"]) is not None:
        by, left = plain(override["placed_by"]), age(override["seconds_left"])
        lines.append(f"policy    of {by} instead of the control plane's, for another {left}")
    if (drained := facts["draining"]) is not None:
        lines.append(f"drains    since {plain(drained['since'])}, as {plain(drained['by'])} asked: no new associations")
    for priority, states in facts["deliveries"].items():
        on_its_way = sum(states.get(state, 0) for state in Unfinished)
        if on_its_way and priority != "normal":
            lines.append(
                f"  {priority}: {counted(on_its_way, 'delivery', 'deliveries')} of those that are not finished"
            )
    for row in facts["destinations"]:
        lines.append(f"  {plain(row['destination'])}: {row['deliveries']} {row['state']}")
    lines += status_lines(facts["gathering"])
    for key, note in facts["notes"].items():
        lines += [f"  {key}, noted {note['written_at'][:19]}Z:", f"    {plain(note['value'])}"]
    return "\n".join(lines)


def _standings(instances: dict[str, int]) -> str:
    words = ", ".join(f"{count} {standing}" for standing, count in instances.items() if count)
    return f"{counted(sum(instances.values()), 'instance')}{': ' if words else ''}{words}"


def _stopped(counts: dict[str, Any]) -> list[str]:
    lines = []
    if counts["deliveries_quarantined"]:
        count = counted(counts["deliveries_quarantined"], "delivery", "deliveries")
        lines.append(f"unfit     {count} of objects that need mending (`skerry-edge fix`)")
    if counts["deliveries_held"]:
        count = counted(counts["deliveries_held"], "delivery", "deliveries")
        lines.append(f"held back {count} (`skerry-edge release`)")
    return lines


def queue(
    data_dir: DataDir,
    destination: Annotated[str | None, typer.Option("--destination", help="Only this destination.")] = None,
    state: Annotated[Unfinished | None, typer.Option("--state", help="Only this state.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many.")] = 100,
    as_json: Json = False,
) -> None:
    """Deliveries that are not delivered, oldest first, each with the reason."""
    view = BufferView(data_dir)
    check_destination(view, destination)
    found = view.queue(QueueFilter(destination=destination, state=state, limit=limit))
    if as_json:
        print(json.dumps(found, indent=2))
        return
    for one in found:
        print(f"{plain(one['sop_instance_uid'])}")
        tries = counted(one["attempts"], "try", "tries")
        print(f"  to {plain(one['destination'])}, {one['priority']}: {one['state']} after {tries}")
        print(f"  received {one['received_at'][:19]}Z{_until(one)}")
        if one["reason"]:
            print(f"  {plain(one['reason'])}")
        if one["gathering"]:
            print(f"  {gathering_words(one['gathering'])}")
    print(counted(len(found), "delivery", "deliveries") if found else "nothing waits")


def _until(one: dict[str, Any]) -> str:
    words = {"retry_wait": "next try", "verifying": "asked for"}.get(one["state"])
    return f", {words} at {one['not_before'][:19]}Z" if words and one["not_before"] else ""


def trace(
    data_dir: DataDir,
    uid: Annotated[str, typer.Argument(help="A SOP instance, series or study UID, or an instance id.")],
    as_json: Json = False,
) -> None:
    """When and from whom it came, why each route took it or did not, and where it went."""
    found = BufferView(data_dir).trace(uid)
    print(json.dumps(found, indent=2) if as_json else "\n".join(_story(one) for one in found))


def _story(one: dict[str, Any]) -> str:
    lines = [
        f"{plain(one['sop_instance_uid'])}  ({one['instance_id']})",
        f"  received   {one['received_at']} from {plain(one['calling_ae_title'])} at {one['peer_address']}",
        f"             as {plain(one['called_ae_title'])}, {one['data_set_length']} bytes",
        f"  policy     {one['policy'] or 'none yet: routed when one comes'}",
    ]
    for outcome in one["outcomes"]:
        took = "yes" if outcome["matched"] else "no"
        lines.append(f"  route      {plain(outcome['route'])}: {took}, {plain(outcome['reason'])}")
    lines += [f"  odd        {plain(flag)}" for flag in one["flags"]]
    if one["announced"]:
        named, missing = one["announced"]["named"], one["announced"]["missing"]
        lines.append(f"  announced  {counted(named, 'image')} of its study, {missing or 'none'} of them missing")
    if one["policy"] and not one["deliveries"]:
        lines.append("  nowhere    no route took it; it is kept (`requeue --unrouted` decides anew)")
    for delivery in one["deliveries"]:
        words = f": {plain(delivery['reason'])}" if delivery["reason"] else ""
        tries = counted(delivery["attempts"], "try", "tries")
        lines.append(
            f"  {plain(delivery['destination'])}: {delivery['state']} at {delivery['changed_at']}, {tries}{words}"
        )
        if delivery["gathering"]:
            lines.append(f"    {gathering_words(delivery['gathering'])}")
    if one["released_at"]:
        lines.append(f"  released   {one['released_at']}")
    return "\n".join(lines)


def check_destination(view: BufferView, destination: str | None) -> None:
    known = sorted({row["destination"] for row in view.destinations()})
    if destination is not None and destination not in known:
        names = ", ".join(known) or "none"
        raise SettingsError(f"nothing was ever sent to a destination {destination!r}", hint=f"Known here: {names}.")
