"""What can be wrong with a site's pools, as coded conditions: the same in status, metrics and at the centre. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from haproxy.manager.interface import Condition, MemberReport, Severity

HAPROXY_DOWN = Condition(
    code="haproxy-down",
    severity=Severity.HIGH,
    text="HAProxy does not run: nobody at this site can send through it.",
    hint="The manager tries again by itself; look at haproxy.log in its data directory for HAProxy's words.",
)
HAPROXY_RESTARTED = Condition(
    code="haproxy-restarted",
    severity=Severity.MEDIUM,
    text="HAProxy ended unexpectedly and was started again; associations that were open then were cut off.",
    hint="Look at haproxy.log in the data directory; when it goes on, report it.",
)
NO_POOLS = Condition(
    code="no-pools",
    severity=Severity.MEDIUM,
    text="No pools are known here yet.",
    hint="Give the site's policy a `pools` section, or start with --pool FILE.",
)
POOLS_DAMAGED = Condition(
    code="pools-damaged",
    severity=Severity.HIGH,
    text="The pools kept on disk cannot be read; HAProxy goes on with its configuration, and nothing is changed.",
    hint="The centre sends them again. Without one, give --pool FILE again. Check the disk.",
)
POOLS_REJECTED = Condition(
    code="pools-rejected",
    severity=Severity.MEDIUM,
    text="Pools that were asked for do not run here; those before go on.",
    hint="Mend what HAProxy names, and publish again.",
)
POOL_FILE = Condition(
    code="pool-file-wrong",
    severity=Severity.MEDIUM,
    text="The pool file is not used as it is; what ran before goes on.",
    hint="`skerry-haproxy check FILE` names what is to be mended.",
)
NOT_AS_WANTED = Condition(
    code="not-as-wanted",
    severity=Severity.HIGH,
    text="HAProxy does not do what it was told; it is told again.",
    hint="Look at haproxy.log in the data directory.",
)
WORDS_DAMAGED = Condition(
    code="words-damaged",
    severity=Severity.HIGH,
    text="What was said here (drain, maint, weight) cannot be read any more, and holds no longer.",
    hint="Say it again where it is still meant; the file was set aside as words.json.damaged.",
)
NO_MEMBER = Condition(
    code="no-member",
    severity=Severity.HIGH,
    text="No member of this pool works: modalities are turned away.",
    hint="Bring a member back: `skerry-haproxy status` has HAProxy's words on each.",
)
ONE_MEMBER = Condition(
    code="one-member",
    severity=Severity.MEDIUM,
    text="One member of this pool is left that works; when it fails, modalities are turned away.",
    hint="Bring the others back before you service this one.",
)
MEMBER_DOWN = Condition(
    code="member-down",
    severity=Severity.MEDIUM,
    text="A member takes no new associations, though nobody took it out.",
    hint="Look at the node: `skerry-edge status` there.",
)
HOURS_WAIT = Condition(
    code="hours-wait",
    severity=Severity.MEDIUM,
    text="It is this member's hour of maintenance, but no other one works; it goes on.",
    hint="Bring another member back, or drain this one by hand with --last.",
)
OLD_WORKERS = Condition(
    code="old-workers",
    severity=Severity.LOW,
    text="Old workers of HAProxy wait for associations that were open at a reload; they end with them.",
    hint="Associations that stay open for hours hold them; look which node has them.",
)
MOST_OLD_WORKERS = 4
_ORDER = (Severity.HIGH, Severity.MEDIUM, Severity.LOW)


def worst_first(conditions: Iterable[Condition]) -> tuple[Condition, ...]:
    """Conditions in the order in which a person should read them."""
    return tuple(sorted(conditions, key=lambda held: (_ORDER.index(held.severity), held.code, held.subject)))


def of_members(members: Sequence[MemberReport]) -> tuple[Condition, ...]:
    """What the members of all pools have to say."""
    behind: dict[str, list[MemberReport]] = defaultdict(list)
    for member in members:
        behind[f"{member.pool}.{member.listener}"].append(member)
    found = []
    for listener, its in behind.items():
        working = [member for member in its if member.up and member.admin == "ready"]
        if not working:
            found.append(replace(NO_MEMBER, subject=listener))
        elif len(working) == 1 < len(its):
            found.append(replace(ONE_MEMBER, subject=listener, text=f"{ONE_MEMBER.text} It is {working[0].node}."))
        found += [_down(listener, member) for member in its if not member.up and member.admin == "ready"]
    return tuple(found)


def _down(listener: str, member: MemberReport) -> Condition:
    words = member.check_words or member.agent or member.status
    return replace(
        MEMBER_DOWN, subject=f"{listener}/{member.node}", text=f"{member.node} takes no new associations: {words}."
    )


def last_ones(members: Sequence[MemberReport], node: str) -> tuple[str, ...]:
    """The listeners that would have nobody left who works, if this node stood aside."""
    behind: dict[str, set[str]] = defaultdict(set)
    for member in members:
        if member.up and member.admin == "ready":
            behind[f"{member.pool}.{member.listener}"].add(member.node)
    return tuple(sorted(listener for listener, working in behind.items() if working == {node}))
