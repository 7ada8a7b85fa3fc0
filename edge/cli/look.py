"""`skerry-edge status`, `queue`, `trace` and `requeue`: beside a node that runs, or does not, with no control plane."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from edge.buffer.view import BufferView, QueueFilter
from edge.cli.options import DataDir, DryRun, Json
from edge.sync.trust import load_enrolment


def status(data_dir: DataDir, as_json: Json = False) -> None:
    """How full the buffer is, where things wait, and what the node last wrote down."""
    view = BufferView(data_dir)
    identity = load_enrolment(data_dir).identity
    usage = shutil.disk_usage(data_dir)
    facts: dict[str, Any] = {
        "node": {"node_id": identity.node_id, "site": identity.site, "name": identity.node_name} if identity else None,
        "buffer": asdict(view.counts()),
        "disk": {"free_bytes": usage.free, "total_bytes": usage.total},
        "destinations": view.destinations(),
        "notes": {key: value for key, value in view.notes().items() if not key.startswith("epoch.")},
    }
    if as_json:
        print(json.dumps(facts, indent=2))
        return
    counts = facts["buffer"]
    print(f"node          {identity.node_name + ' of ' + identity.site if identity else 'not enrolled'}")
    print(f"held          {counts['instances_held']} instances")
    print(
        f"waiting       {counts['deliveries_waiting']} deliveries, the oldest for {counts['oldest_waiting_seconds']} s"
    )
    if counts["instances_nowhere"]:
        print(f"nowhere       {counts['instances_nowhere']} instances have no destination; see `requeue --unrouted`")
    print(f"parked        {counts['deliveries_parked']} deliveries wait for a person")
    print(f"outbox        {counts['outbox_events']} events not yet at the centre")
    print(f"disk          {usage.free / 2**30:.1f} GiB free of {usage.total / 2**30:.1f}")
    _table(("destination", "state", "deliveries", "oldest"), facts["destinations"])
    _table(("key", "value", "written_at"), [{"key": key, **value} for key, value in facts["notes"].items()])


def queue(
    data_dir: DataDir,
    destination: Annotated[str | None, typer.Option("--destination", help="Only this destination.")] = None,
    state: Annotated[str | None, typer.Option("--state", help="due, sending, retry_wait or parked.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many.")] = 100,
    as_json: Json = False,
) -> None:
    """Deliveries that are not delivered, oldest first, each with its last reason."""
    found = BufferView(data_dir).queue(QueueFilter(destination=destination, state=state, limit=limit))
    if as_json:
        print(json.dumps(found, indent=2))
        return
    columns = ("id", "destination", "state", "attempts", "received_at", "not_before", "reason", "sop_instance_uid")
    _table(columns, found)
    if not found:
        print("nothing waits")


def trace(
    data_dir: DataDir,
    uid: Annotated[str, typer.Argument(help="A SOP instance, series or study UID, or an instance id.")],
    as_json: Json = False,
) -> None:
    """When and from whom it came, why each route took it or did not, and where it went."""
    found = BufferView(data_dir).trace(uid)
    if as_json:
        print(json.dumps(found, indent=2))
        return
    for one in found:
        print(f"{one['sop_instance_uid']}  ({one['instance_id']})")
        print(f"  received   {one['received_at']} from {one['calling_ae_title']} at {one['peer_address']}")
        print(f"             as {one['called_ae_title']}, {one['data_set_length']} bytes, policy {one['policy']}")
        for outcome in one["outcomes"]:
            print(f"  route      {outcome['route']}: {'yes' if outcome['matched'] else 'no'}, {outcome['reason']}")
        for flag in one["flags"]:
            print(f"  odd        {flag}")
        for delivery in one["deliveries"]:
            words = f", {delivery['reason']}" if delivery["reason"] else ""
            tries = f"{delivery['attempts']} tries"
            print(f"  {delivery['destination']:<10} {delivery['state']} at {delivery['changed_at']}, {tries}{words}")
        if one["released_at"]:
            print(f"  released   {one['released_at']}")


def requeue(
    data_dir: DataDir,
    uid: Annotated[str | None, typer.Option("--uid", help="Only this instance, series or study.")] = None,
    destination: Annotated[str | None, typer.Option("--destination", help="Only this destination.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Everything that is parked or waits to be retried.")] = False,
    events: Annotated[bool, typer.Option("--events", help="Events that the control plane could not read.")] = False,
    unrouted: Annotated[
        bool, typer.Option("--unrouted", help="Instances that go nowhere: the policy in force decides anew.")
    ] = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Try parked and waiting deliveries again, now. A node that runs takes them up within a second."""
    if not (uid or destination or every or events or unrouted):
        raise typer.BadParameter("say which: --uid, --destination, --all, --unrouted or --events")
    view = BufferView(data_dir)
    what = "events" if events else "instances" if unrouted else "deliveries"
    if events:
        count = view.release_events(dry_run=dry_run)
    elif unrouted:
        count = view.route_again(uid=uid, dry_run=dry_run)
    else:
        count = view.requeue(uid=uid, destination=destination, dry_run=dry_run)
    if as_json:
        print(json.dumps({"requeued": 0 if dry_run else count, "matching": count, "dry_run": dry_run}))
    else:
        print(f"{count} {what} {'would be' if dry_run else 'are'} due again")


def _table(columns: tuple[str, ...], found: list[dict[str, Any]]) -> None:
    if not found:
        return
    table = Table(*columns, box=None, pad_edge=False)
    for row in found:
        table.add_row(*("" if row[column] is None else str(row[column]) for column in columns))
    Console(markup=False, emoji=False, highlight=False).print(table)
