"""What the manager tells: one report, built from what was last read, and a bell for whoever waits for news."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace

from haproxy.manager import health
from haproxy.manager.interface import Condition, MemberReport, PoolsReport
from haproxy.manager.observing import Reading

SAME_CHANGE_SECONDS = 3
"""HAProxy tells ages in whole seconds; a time that is made of one wavers by as much."""
_NOTHING = PoolsReport(
    order=0,
    origin="none",
    site="",
    haproxy_running=False,
    haproxy_version="",
    old_workers=0,
    reloads=0,
    last_reload=0,
)


@dataclass(slots=True, kw_only=True)
class Tally:
    """What the manager counts while it runs."""

    reloads: int = 0
    last_reload: int = 0
    rejected: int = 0
    restarts: int = 0


class Teller:
    """Keeps the newest report. One thread writes, any reads."""

    def __init__(self) -> None:
        self._news = threading.Condition()
        self._version = 0
        self._heard = 0
        self._held: dict[str, Condition] = {}
        self._of_link: tuple[Condition, ...] = ()
        self.report = _NOTHING

    def hold(self, condition: Condition) -> None:
        """This is so from now on."""
        self._held[condition.code] = condition

    def clear(self, *codes: str) -> None:
        """These are so no longer."""
        for code in codes:
            self._held.pop(code, None)

    def of_link(self, conditions: tuple[Condition, ...]) -> None:
        """What the link says of itself."""
        self._of_link = conditions

    def tell(self, report: PoolsReport, reading: Reading | None) -> None:
        """This is the newest; whoever waits is woken when it is news."""
        members = tuple(self._steady(member) for member in report.members)
        found = [*self._held.values(), *self._of_link]
        if reading is not None:
            found += health.of_members(members)
            if report.old_workers > health.MOST_OLD_WORKERS:
                found.append(health.OLD_WORKERS)
        newest = replace(report, members=members, conditions=health.worst_first(found))
        before, self.report = self.report, newest
        if _news_of(before) != _news_of(newest):
            with self._news:
                self._version += 1
                self._news.notify_all()

    def wait(self, seconds: float) -> bool:
        """Whether there is news since the last call."""
        with self._news:
            self._news.wait_for(lambda: self._version != self._heard, timeout=seconds)
            fresh, self._heard = self._version != self._heard, self._version
            return fresh

    def _steady(self, member: MemberReport) -> MemberReport:
        for before in self.report.members:
            same = (before.pool, before.listener, before.node, before.status)
            if same == (member.pool, member.listener, member.node, member.status):
                steady = abs(before.changed - member.changed) <= SAME_CHANGE_SECONDS
                return replace(member, changed=before.changed) if steady else member
        return member


def _news_of(report: PoolsReport) -> PoolsReport:
    """The report without what changes all the time: numbers of open associations, unless they reach or leave zero."""
    members = tuple(replace(one, sessions=min(one.sessions, 1), check_words="", agent="") for one in report.members)
    return replace(report, members=members)
