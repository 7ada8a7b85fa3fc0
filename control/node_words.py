"""A node in a few lines, for people (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

DAY, HOUR = 86_400, 3600


def node_text(node: Mapping[str, Any]) -> str:
    """What stands at the top of a page about a node: how it is, what waits, and what to do."""
    heard = "never heard of" if node["age_seconds"] is None else f"last heard {duration(node['age_seconds'])} ago"
    lines = [f"{node['name']} of {node['site']}: {node['state']}, {heard}", f"  id           {node['id']}"]
    lines.append(f"  certificate  {_certificate(int(node['certificate_days']))}")
    report = node["report"]
    if report is None:
        return "\n".join([*lines, "  It has not reported yet."])
    place = report["active"]
    lines += [
        f"  version      {report['software_version']}, DICOM at {report['dicom_endpoint'] or 'no address'}",
        f"  policy       {place['generation']}.{place['version']}{_attempt(report)}",
        f"  clock        {_clock(node['clock_offset_seconds'])}",
        f"  buffer       {report['instances_held']} instances, {report['deliveries_waiting']} deliveries waiting"
        f"{_oldest(report)}, {report['deliveries_parked']} parked",
        f"  outbox       {report['outbox_events']} events not told",
        f"  disk         {_gib(report['spool_free_bytes'])} GiB free of {_gib(report['spool_total_bytes'])}",
        f"  outage       {_outage(report)}",
    ]
    for one in report["conditions"]:
        lines.append(f"  {one['severity']:<6} {one['code']}: {one['text']}")
        if one["hint"]:
            lines.append(f"         {one['hint']}")
    return "\n".join(lines)


def duration(seconds: int) -> str:
    """The two largest units of a time."""
    for size, unit, rest, small in ((DAY, "d", HOUR, "h"), (HOUR, "h", 60, "min"), (60, "min", 1, "s")):
        if seconds >= size:
            return f"{seconds // size} {unit} {seconds % size // rest} {small}"
    return f"{seconds} s"


def _certificate(days: int) -> str:
    return f"good for {days} days" if days >= 0 else f"ended {-days} days ago: the node asks for another by itself"


def _attempt(report: Mapping[str, Any]) -> str:
    if not report["attempt_state"] or report["attempt_state"] == "applied":
        return ""
    attempt = report["attempt"]
    why = f": {report['attempt_error']}" if report["attempt_error"] else ""
    return f"; {attempt['generation']}.{attempt['version']} {report['attempt_state']}{why}"


def _clock(offset: int | None) -> str:
    if offset is None:
        return "not known"
    if abs(offset) < 2:
        return "right"
    return f"{duration(abs(offset))} {'ahead' if offset > 0 else 'behind'}"


def _oldest(report: Mapping[str, Any]) -> str:
    return f", the oldest for {duration(report['oldest_waiting_seconds'])}" if report["deliveries_waiting"] else ""


def _gib(size: int) -> str:
    return f"{size / (1 << 30):.1f}"


def _outage(report: Mapping[str, Any]) -> str:
    if not report["outage_seconds"]:
        return "nothing comes in, or it is not known yet"
    rate = report["inflow_bytes_per_hour"] / (1 << 30)
    return f"room for {duration(report['outage_seconds'])} at {rate:.1f} GiB an hour when nothing leaves"
