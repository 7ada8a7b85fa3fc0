"""Counting the objects of a page of studies: most studies are so plain that two sums tell everything (pure)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

UNROUTED_RANK = -1


class ObjectCount(NamedTuple):
    """How many objects of a study are this far. `unfinished`: see `control.deliveries.changes`."""

    study_instance_uid: str
    unfinished: int
    objects: int


class DestinationCount(NamedTuple):
    """How many objects of a study are this far at one destination of one site."""

    study_instance_uid: str
    site: str
    destination: str
    unfinished: int
    objects: int


class ReceptionCount(NamedTuple):
    """How many arrivals of objects of a study a site told of."""

    study_instance_uid: str
    site: str
    receptions: int
    names: int
    """Different SOP Instance UIDs; an empty one counts as one."""
    untold: int
    """Known only by a delivery so far."""


@dataclass(slots=True)
class Tallies:
    """All counts of some studies."""

    objects: list[ObjectCount] = field(default_factory=list)
    destinations: list[DestinationCount] = field(default_factory=list)
    received: dict[tuple[str, str], int] = field(default_factory=dict)
    """(study, site) -> objects."""
    plain: set[str] = field(default_factory=set)
    """The studies that are in here; the others must be counted object by object."""


def tally(receptions: Iterable[ReceptionCount], deliveries: Iterable[DestinationCount]) -> Tallies:
    """The counts of those studies for which sums are enough.

    They are when one site knows the study, every object arrived once, and either there is one destination, or every
    object is as far at every destination.
    """
    owed: Mapping[str, list[DestinationCount]] = defaultdict(list)
    for due in deliveries:
        owed[due.study_instance_uid].append(due)
    places: Mapping[str, list[ReceptionCount]] = defaultdict(list)
    for count in receptions:
        places[count.study_instance_uid].append(count)
    found = Tallies()
    for uid, known in places.items():
        objects = _objects(known, owed[uid])
        if objects is not None:
            found.plain.add(uid)
            found.objects += [ObjectCount(uid, rank, number) for rank, number in objects.items() if number]
            found.destinations += owed[uid]
            found.received[uid, known[0].site] = known[0].receptions
    return found


def _objects(known: Sequence[ReceptionCount], owed: Sequence[DestinationCount]) -> dict[int, int] | None:
    """Rank -> objects, or None where sums do not tell."""
    (one, *others) = known
    if others or one.untold or one.names != one.receptions:
        return None
    destinations = {due.destination for due in owed}
    ranks: dict[int, int] = defaultdict(int)
    for due in owed:
        ranks[due.unfinished] += due.objects
    if len(destinations) > 1:
        if len(ranks) > 1 or sum(ranks.values()) != one.receptions * len(destinations):
            return None
        ranks = dict.fromkeys(ranks, one.receptions)
    if sum(ranks.values()) > one.receptions:
        return None
    return {**ranks, UNROUTED_RANK: one.receptions - sum(ranks.values())}
