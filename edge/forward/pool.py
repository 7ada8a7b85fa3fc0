"""The open associations of one destination: kept while there is work, released soon after, ended at once if asked."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
import weakref
from collections.abc import Sequence

from edge.buffer.spool import Spool
from edge.forward.association import Association
from edge.forward.base import DestinationDown
from edge.forward.opening import ANSWER_SECONDS, Caller
from edge.model import DicomDestination
from edge.upper_layer.requesting import MAX_CONTEXTS, Offer

REST_SECONDS = 2.5
"""How long an association is kept without work. A peer that serves one at a time has others waiting."""
LONGEST_SECONDS = 60.0
"""How long one is used in a row, for the same reason."""


class Pool:
    """Lends associations. Any thread may use it; each association is used by one thread at a time."""

    def __init__(self, destination: DicomDestination, spool: Spool, idle_seconds: float) -> None:
        self._caller = Caller(destination, spool.data_dir, idle_seconds, self._watch)
        self._destination, self._spool = destination, spool
        self._lock = threading.Lock()
        self._sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        self._resting: list[Association] = []
        self._offered: dict[Offer, None] = {}
        self._interrupted = False

    def lend(
        self, offers: Sequence[Offer], *, fresh: bool = False, answer_seconds: float = ANSWER_SECONDS
    ) -> Association:
        """An association on which all of these (at most 128) were proposed; a new one if it has to be `fresh`.

        Raises:
            DestinationDown: there is none, and why.
        """
        wanted = frozenset(offers)
        while not fresh and (kept := self._take()) is not None:
            if kept.is_over():
                continue
            if wanted <= kept.offered and time.monotonic() - kept.opened_at < LONGEST_SECONDS:
                kept.take_up()
                return kept
            kept.release()
        proposed = self._proposed(offers)
        line, granted = self._caller.open(proposed, answer_seconds=answer_seconds)
        peer = self._destination
        return Association(line, granted, frozenset(proposed), self._spool, peer.transforms, decompress=peer.decompress)

    def give_back(self, association: Association) -> None:
        """It has nothing under way and is open."""
        association.used_at = time.monotonic()
        with self._lock:
            self._resting.append(association)

    def rest(self) -> None:
        """Release what nobody needed for a while, and what its peer has ended."""
        since = time.monotonic() - REST_SECONDS
        with self._lock:
            kept, self._resting = self._resting, []
        for association in kept:
            if association.is_over():
                continue
            if association.used_at < since:
                association.release()
            else:
                with self._lock:
                    self._resting.append(association)

    def ask(self) -> bool:
        """Whether the peer answers a C-ECHO; False when only real work can tell. A peer may serve one at a time.

        Raises:
            DestinationDown: it is not there, or does not let us in.
        """
        from edge.forward.echo import UNSURE, echo  # a peer that is never down is never asked

        self.close()
        try:
            return echo(self._caller) == "answered"
        except DestinationDown as error:
            if error.kind in UNSURE:
                return False
            raise

    def close(self) -> None:
        """Release all that rest."""
        while (kept := self._take()) is not None:
            if not kept.is_over():
                kept.release()

    def interrupt(self) -> None:
        """Wake whoever waits for the peer; nothing is opened any more."""
        with self._lock:
            self._interrupted = True
            sockets = list(self._sockets)
        for one in sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _take(self) -> Association | None:
        with self._lock:
            return self._resting.pop() if self._resting else None

    def _proposed(self, offers: Sequence[Offer]) -> list[Offer]:
        """What is asked for, and what was lately: kinds that come in turns do not end each other's association."""
        with self._lock:
            self._offered = dict.fromkeys((*offers, *self._offered))
            for surplus in list(self._offered)[MAX_CONTEXTS:]:
                del self._offered[surplus]
            return list(self._offered)

    def _watch(self, raw: socket.socket) -> None:
        with self._lock:
            if self._interrupted:
                raise DestinationDown("this node is leaving it", hint="Nothing is to be done.")
            self._sockets.add(raw)
