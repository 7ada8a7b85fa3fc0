"""What a group of destinations means, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edge.model import DicomDestination, DicomWebDestination, GroupDestination, Member
from edge.policy.meaning_transforms import Report
from edge.policy.meaning_window import window_of
from edge.policy.schema_groups import GroupModel
from edge.policy.wording import nearest


def _verifies(member: Member) -> bool:
    return isinstance(member, DicomDestination | DicomWebDestination) and member.verify != "none"


def group_of(
    index: int, model: GroupModel, known: Mapping[str, Member], groups: Sequence[str], report: Report
) -> GroupDestination:
    """The group, after everything that is wrong with its members was said."""
    members: dict[str, Member] = {}
    for position, name in enumerate(model.members):
        path = ("destinations", index, "members", position)
        if name in groups:
            report.error(path, f"`{name}` is a group itself", "Name its members here.")
        elif name not in known:
            meant = nearest(name, list(known))
            hint = f"Did you mean `{meant}`?" if meant else f"Known destinations: {', '.join(known) or 'none'}."
            report.error(path, f"there is no destination `{name}`", hint)
        elif name in members:
            report.error(path, f"`{name}` stands twice in this group", "Remove it, or name another one.")
        elif _verifies(known[name]):
            hint = "Leave `verify` out of that destination, or send to it without a group."
            report.error(path, f"`{name}` has `verify`, which members of groups cannot have", hint)
        else:
            members[name] = known[name]
    return GroupDestination(
        name=model.name, how=model.kind, members=tuple(members.values()), window=window_of(model.window)
    )
