"""What a node does before it routes: every sealed file gets its row, every broken lease its end.

Usually only few files are looked at: the slots that a process had taken, and the shelves that are not closed. A
database that is new, restored or a copy knows nothing for certain, so then every file is. Both are safe while ingest
processes live and receive.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TypeVar

import structlog

from edge import metrics
from edge.buffer.slot_index import EmptySlot
from edge.buffer.slots import slot_of
from edge.buffer.spool import Settled, Verdict
from edge.buffer.store import Buffer
from edge.errors import SealBroken, SpoolError
from edge.model import SealedInstance

log = structlog.get_logger(__name__)
BATCH = 64
LEAVING = 10_000
T = TypeVar("T")
Admit = Callable[[Sequence[SealedInstance]], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """What was found at start."""

    adopted: int = 0
    """Sealed files that had no row: acknowledged, but the process died before the commit."""
    unfinished: int = 0
    """Objects that were never acknowledged, removed."""
    damaged: int = 0
    """Files that did not match their seal (set aside), could not be read, or are not ours."""
    resumed: int = 0
    """Deliveries that the dead process was sending."""


def recover(buffer: Buffer, admit: Admit) -> Recovered:
    """Return when index and spool agree. Call only while nothing sends or routes.

    Safe to repeat, and safe to be killed in: each step leaves a state that the next run repairs. A file that cannot
    be read stops neither the others nor the start of the node.
    """
    resumed = buffer.recover()
    buffer.slots.leave(buffer.spool, LEAVING)  # retention was killed between its commit and the emptied slot
    full = buffer.needs_full_scan()
    if full:
        buffer.slots.reopen_shelves()
        asked = buffer.remembered.recall()
        log.info("recovery.recalled", asked=asked)
    else:
        buffer.remembered.tidy()
    search = _Search(buffer, admit, full=full)
    search.taken_slots()
    search.open_shelves()
    if full and search.all_admitted:
        buffer.remembered.forget_strangers()
        buffer.scanned()
    counts = search.counts
    metrics.INSTANCES_ADOPTED.inc(counts["adopted"])
    found = Recovered(
        adopted=counts["adopted"], unfinished=counts["unfinished"], damaged=counts["damaged"], resumed=resumed
    )
    log.info("recovery.done", full=full, shelves=counts["shelves"], **asdict(found))
    return found


def close_shelves(buffer: Buffer, admit: Admit) -> None:
    """Compare the shelves with the index that their processes have left, so that the next start need not."""
    _Search(buffer, admit, full=False).open_shelves(alive_too=False)


def look_again(buffer: Buffer, admit: Admit) -> int:
    """While the node runs: adopt what was never told of, wherever it is. Only from the thread that admits. How many."""
    search = _Search(buffer, admit, full=False)
    search.taken_slots()
    search.open_shelves()
    metrics.INSTANCES_ADOPTED.inc(search.counts["adopted"])
    if search.counts["adopted"]:
        log.info("recovery.found", adopted=search.counts["adopted"])
    return search.counts["adopted"]


class _Search:
    """One look through the spool for what the index does not know."""

    def __init__(self, buffer: Buffer, admit: Admit, *, full: bool) -> None:
        self._buffer, self._spool, self._slots = buffer, buffer.spool, buffer.slots
        self._admit, self._full = admit, full
        self.counts: Counter[str] = Counter()
        self.all_admitted = True

    def taken_slots(self) -> None:
        """Slots that a process took before it wrote into them."""
        for group in _batched(self._slots.owned(), BATCH):
            alive = {owner: self._spool.is_alive(owner) for owner in {one.owner for one in group} if owner}
            found = [(one, self._settle(one.slot, one, owned=alive[one.owner or ""])) for one in group]
            self._slots.give_back(
                [one.slot for one, settled in found if settled.verdict in (Verdict.EMPTY, Verdict.UNFINISHED)]
            )
            self._take([settled.sealed for _one, settled in found if settled.sealed is not None])

    def open_shelves(self, *, alive_too: bool = True) -> None:
        """Files of the shelves that are not closed. Those that nobody uses any more are closed, or removed if empty."""
        closed = self._slots.closed_shelves()
        for shelf in self._spool.shelves():
            if shelf in closed:
                continue
            alive = self._spool.is_alive(shelf)  # before its files are listed: who dies after this is settled later
            if alive and not alive_too:
                continue
            self.counts["shelves"] += 1
            before = (self.counts["left"], self.all_admitted)
            for group in _batched(self._spool.slots_on(shelf), BATCH):
                self._files(group, owned=alive)
            settled = before == (self.counts["left"], self.all_admitted)
            if settled and not alive and not self._spool.remove_empty(shelf):
                self._slots.close_shelf(shelf)
        for stranger in self._spool.strangers(closed):
            self.counts["damaged"] += 1
            log.error("recovery.not_ours", name=stranger.name, hint="Move it out of the spool; it is left alone.")

    def _files(self, group: Sequence[str], *, owned: bool) -> None:
        occupied, empty = self._slots.occupied(group), self._slots.empty_among(group)
        unknown = [slot for slot in group if slot not in occupied and (self._full or slot not in empty)]
        if self._full:  # whatever the index says, the seals know better
            unknown += [slot for slot, held in occupied.items() if self._spool.occupant(slot) not in (None, held)]
        adopted = []
        for slot in unknown:
            one = empty.get(slot)
            taken = one is not None and one.owner is not None and self._spool.is_alive(one.owner)
            settled = self._settle(slot, one, owned=owned or taken)
            if settled.sealed is not None:
                adopted.append(settled.sealed)
        self._take(adopted)

    def _settle(self, slot: str, empty: EmptySlot | None, *, owned: bool) -> Settled:
        """`empty` is what the index says of a slot that it takes for empty."""
        above, keep_size = (0, None) if empty is None else (empty.generation, empty.size)
        try:
            settled = self._spool.settle(slot, above=above, owned=owned, keep_size=keep_size)
        except (SpoolError, OSError) as error:
            self.counts.update(damaged=1, left=1)
            log.error("recovery.unreadable", slot=slot, error=str(error), hint=SealBroken.hint)
            return Settled(Verdict.LEFT)
        if settled.verdict is Verdict.DAMAGED:
            log.error("recovery.damaged", slot=slot, hint=SealBroken.hint)
        if settled.verdict in (Verdict.DAMAGED, Verdict.GONE) and empty is not None and not owned:
            self._slots.forget(slot)
        self.counts[settled.verdict.name.lower()] += settled.verdict is not Verdict.ADOPTED
        return settled

    def _take(self, found: Sequence[SealedInstance]) -> None:
        """Rows for these together; what fails so is left to routing, which isolates the one that fails."""
        known = self._buffer.known([one.instance_id for one in found])
        new = [one for one in found if one.instance_id not in known]
        if not new:
            return
        for instance_id in self._slots.displaced([slot_of(one.instance_id) for one in new]):
            log.warning(
                "recovery.displaced",
                instance_id=instance_id,
                hint="The index is older than the spool: this one was released since, and another lies in its slot.",
            )
        self.counts["adopted"] += len(new)
        try:
            self._admit(new)
        except Exception:
            self.all_admitted = False
            log.exception("recovery.not_admitted", instances=len(new))
            for sealed in new:
                self._buffer.arrived(sealed)


def _batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    left = iter(items)
    while group := list(itertools.islice(left, size)):
        yield group
