"""The account of a site over some time, and its verdict in one sentence. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

SHOWN = 500
"""Studies listed in one account; the sums count all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyAccount:
    """One study at one site: every object that a node took into custody, and every delivery that it owes for them."""

    study_instance_uid: str
    received: int
    """Objects in custody or delivered, each reception once."""
    unrouted: int
    """Of these, the ones that no route sends anywhere."""
    delivered: int
    """Deliveries that their destination answered with success."""
    waiting: int
    """Deliveries that the node goes on with by itself."""
    for_a_person: int
    """Deliveries that are parked or quarantined."""
    ended: int
    """Deliveries that a person discarded, or that a newer object replaced."""

    @property
    def is_settled(self) -> bool:
        """Whether nothing of it is open."""
        return not (self.waiting or self.for_a_person or self.unrouted)


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """All studies of a site that began in a stretch of time."""

    site: str
    since: datetime
    until: datetime
    last_heard_at: datetime | None
    """What happened at the site after this is not in the account."""
    silent_nodes: int
    studies: int
    received: int
    unrouted: int
    delivered: int
    waiting: int
    for_a_person: int
    ended: int
    open_studies: Sequence[StudyAccount]
    """Those that are not settled, the ones that need a person first."""

    @property
    def is_settled(self) -> bool:
        """Whether everything that the centre knows of was delivered."""
        return not (self.waiting or self.for_a_person or self.unrouted)

    @property
    def verdict(self) -> str:
        """One sentence for people."""
        if not self.studies:
            words = "Nothing was received."
        elif self.is_settled:
            words = (
                f"Nothing lost: {_counted(self.received, 'object', 'objects')} of {_studies(self.studies)} delivered."
            )
        else:
            parts = [
                f"{_counted(self.for_a_person, 'delivery', 'deliveries')} for a person" if self.for_a_person else "",
                f"{_counted(self.waiting, 'delivery', 'deliveries')} on the way" if self.waiting else "",
                f"{_counted(self.unrouted, 'object', 'objects')} without a destination" if self.unrouted else "",
            ]
            open_ones = _studies(sum(not one.is_settled for one in self.open_studies))
            words = f"Nothing lost, {open_ones} open: {', '.join(filter(None, parts))}."
        if self.silent_nodes:
            nodes = _counted(self.silent_nodes, "node", "nodes")
            words += f" {nodes} of the site cannot be heard: what they hold since then is not counted."
        return words


def account_of(
    *,
    site: str,
    since: datetime,
    until: datetime,
    last_heard_at: datetime | None,
    silent_nodes: int,
    studies: Sequence[StudyAccount],
) -> Account:
    """The sums over all studies."""
    still_open = [one for one in studies if not one.is_settled]
    still_open.sort(key=lambda one: (-one.for_a_person, -one.unrouted, -one.waiting, one.study_instance_uid))
    return Account(
        site=site,
        since=since,
        until=until,
        last_heard_at=last_heard_at,
        silent_nodes=silent_nodes,
        studies=len(studies),
        received=sum(one.received for one in studies),
        unrouted=sum(one.unrouted for one in studies),
        delivered=sum(one.delivered for one in studies),
        waiting=sum(one.waiting for one in studies),
        for_a_person=sum(one.for_a_person for one in studies),
        ended=sum(one.ended for one in studies),
        open_studies=still_open,
    )


def _studies(count: int) -> str:
    return _counted(count, "study", "studies")


def _counted(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"
