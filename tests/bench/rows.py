"""All rows: what is compared with whom, and what the project asks of it."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Sequence
from typing import Protocol

from tests.bench.arena import Arena
from tests.bench.backfill import Backfill
from tests.bench.decisions import Decisions
from tests.bench.fleet import FleetPublish, FleetReconnect
from tests.bench.idle import Connects, Idle
from tests.bench.million import Million
from tests.bench.pool import Pool
from tests.bench.receive import Receive
from tests.bench.receivers import DCMTK, ORTHANC, PYNETDICOM
from tests.bench.relay import Relay
from tests.bench.results import Bound, Line
from tests.bench.searches import Search
from tests.bench.send import Send
from tests.bench.senders import dcmsend, storescu


class Row(Protocol):
    """Something that can be measured."""

    @property
    def name(self) -> str:
        """As `--rows` takes it."""

    @property
    def needs(self) -> tuple[tuple[str, str], ...]:
        """Programs of the operating system, each with the package that brings it; an empty name needs nothing."""

    def measure(self, arena: Arena) -> Iterator[Line]:
        """Take the figures."""


def _times(value: float) -> Bound:
    return Bound(sense=">=", value=value)


# With Nagle on, DCMTK's own pair takes 44 to 88 ms for each instance: a part of the set is enough.
_NAGLE = {"ct": 0.25, "small": 0.1}

ASKED: tuple[Row, ...] = (
    Receive(data="ct", peer=DCMTK, bound=_times(1.2)),
    Receive(data="small", peer=DCMTK, bound=_times(1.0)),
    Receive(data="big", peer=DCMTK, bound=_times(2)),
    Receive(data="ct", peer=ORTHANC, bound=_times(3)),
    Receive(data="small", peer=ORTHANC, bound=_times(4)),
    Receive(data="big", peer=ORTHANC, bound=_times(5)),
    Receive(data="ct", peer=PYNETDICOM, bound=_times(5)),
    Receive(data="small", peer=PYNETDICOM, bound=_times(5)),
    Receive(data="ct", peer=DCMTK, senders=4, share=0.5, bound=_times(1.0)),
    Receive(data="small", peer=DCMTK, senders=4, bound=_times(1.0)),
    Receive(data="ct", peer=DCMTK, nagle=True, share=_NAGLE["ct"], bound=_times(10)),
    Receive(data="small", peer=DCMTK, nagle=True, share=_NAGLE["small"], bound=_times(10)),
    Send(data="ct", peer_name="dcmsend", peer=dcmsend, bound=_times(1.0)),
    Send(data="small", peer_name="dcmsend", peer=dcmsend, bound=_times(1.0)),
    Send(data="ct", peer_name="storescu", peer=storescu, share=0.25),
    Send(data="small", peer_name="storescu", peer=storescu, share=0.1),
    Relay(data="ct", peer=ORTHANC, bound=_times(3)),
    Relay(data="small", peer=ORTHANC, bound=_times(3)),
    Pool(data="ct", bound=_times(0.9)),
    Pool(data="ct", nodes=2, senders=2, share=0.5, bound=_times(1.0)),
    Pool(data="ct", nodes=2, direct=2, senders=2, share=0.5),
    Idle(),
    Connects(),
    Million(),
    Decisions(),
    FleetPublish(),
    FleetPublish(boxes=300, embedded=True),
    FleetReconnect(),
    Backfill(),
    Backfill(replicas=2),
    Search(),
)
"""What `make bench` measures."""

MORE: tuple[Row, ...] = (
    Receive(data="big", peer=PYNETDICOM),
    *(Receive(data=name, peer=peer, senders=4, share=0.5) for peer in (ORTHANC, PYNETDICOM) for name in _NAGLE),
    Receive(data="big", peer=DCMTK, senders=4, share=0.5),
    *(
        Receive(data=name, peer=peer, senders=senders, nagle=True, share=_NAGLE[name])
        for peer in (DCMTK, ORTHANC, PYNETDICOM)
        for name in _NAGLE
        for senders in (1, 4)
        if (peer, senders) != (DCMTK, 1)
    ),
    Send(data="big", peer_name="dcmsend", peer=dcmsend),
    *(Send(data=name, peer_name="dcmsend", peer=dcmsend, bare=True) for name in _NAGLE),
    Relay(data="big", peer=ORTHANC),
)
"""Measured only when they are named."""

QUICK = (
    "receive.ct.dcmtk",
    "receive4.small.dcmtk",
    "send.small.dcmsend",
    "relay.small.orthanc",
    "pool.ct.direct",
    "idle",
    "connects",
    "million",
    "decisions",
)
"""One of each kind."""


def select(patterns: Sequence[str]) -> tuple[Row, ...]:
    """The rows whose names match one of the patterns; all that are asked for when there are no patterns.

    Raises:
        LookupError: a pattern that names no row.
    """
    if not patterns:
        return ASKED
    rows = (*ASKED, *MORE)
    for pattern in patterns:
        if not any(fnmatch.fnmatchcase(row.name, pattern) for row in rows):
            raise LookupError(f"no row is called {pattern}; --list shows them")
    return tuple(row for row in rows if any(fnmatch.fnmatchcase(row.name, pattern) for pattern in patterns))
