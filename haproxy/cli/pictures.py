"""What the manager tells, drawn for people: one line for each server, and what is wrong below. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

MARKS = {"high": "!!", "medium": " !", "low": "  "}


def status_lines(facts: Mapping[str, Any]) -> Iterator[str]:
    """The status of a site's pools."""
    yield _heading(facts)
    rejected = facts["rejected"]
    if rejected:
        yield f"refused: order {rejected['order']} ({rejected['code']})"
        yield from (f"    {line}" for line in rejected["words"].splitlines())
    members = sorted(facts["members"], key=lambda one: (one["pool"], one["listener"], one["node"]))
    width = max((len(one["node"]) for one in members), default=4)
    behind = ""
    for one in members:
        name = f"{one['pool']}.{one['listener']}"
        if name != behind:
            working = sum(1 for other in members if _name(other) == name and works(other))
            yield f"\n{name}: {working} of {sum(1 for other in members if _name(other) == name)} work"
            behind = name
        yield f"  {_lamp(one)} {one['node']:<{width}}  {_bar(one['sessions'])} {one['sessions']:>4} open  {_words(one)}"
    if facts["conditions"]:
        yield ""
    for held in facts["conditions"]:
        subject = f" {held['subject']}" if held["subject"] else ""
        yield f"{MARKS[held['severity']]} {held['code']}{subject}: {held['text']}"
        if held["hint"]:
            yield f"     {held['hint']}"


def _heading(facts: Mapping[str, Any]) -> str:
    if not facts["haproxy_running"]:
        return "HAProxy does not answer"
    source = {"none": "no pools yet", "file": "pools of a file", "centre": f"order {facts['order']} of the centre"}
    site = f"site {facts['site']}, " if facts["site"] else ""
    old = f", {facts['old_workers']} old workers" if facts["old_workers"] else ""
    reload = f", last reload {_time(facts['last_reload'])}" if facts["last_reload"] else ""
    return f"{site}{source[facts['origin']]}, HAProxy {facts['haproxy_version']}{reload}{old}"


def progress_lines(answer: Mapping[str, Any]) -> Iterator[str]:
    """How far a node is, and what is left without it."""
    states = sorted(set(answer["states"].values()))
    yield f"{answer['node']}: {', '.join(states)}, {answer['sessions']} open associations"
    for listener, left in sorted(answer["left"].items()):
        who = ", ".join(left["members"]) or "nobody"
        yield f"  {listener}: {who} left, {left['share']:.0%} of the capacity"


def works(member: Mapping[str, Any]) -> bool:
    """Whether it takes new associations."""
    return bool(member["up"]) and member["admin"] == "ready"


def _name(member: Mapping[str, Any]) -> str:
    return f"{member['pool']}.{member['listener']}"


def _lamp(member: Mapping[str, Any]) -> str:
    if works(member):
        return "●"
    return "◐" if member["admin"] == "drain" else "○"


def _bar(sessions: int) -> str:
    return ("█" * min(sessions, 10)).ljust(10, "·")


def _words(member: Mapping[str, Any]) -> str:
    parts = [member["admin"] if member["admin"] != "ready" else member["status"], f"weight {member['weight']}"]
    if member["check"]:
        parts.append(f"{member['check']} {member['check_words']}".strip())
    if member["agent"]:
        parts.append(f"says {member['agent']}")
    return ", ".join(parts)


def _time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").removesuffix("+00:00") + "Z"
