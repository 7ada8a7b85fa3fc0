"""Whether who sends is one of the destinations: the question behind loops through other routers (pure).

Which addresses a host name has is told from outside, as far as it is known.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from urllib.parse import urlsplit

from edge.model import AssociationFacts, Destination, DicomDestination, DicomWebDestination, GroupDestination, Member


class Origins:
    """The destinations of a policy, by what a sender shows of itself."""

    def __init__(
        self, destinations: Iterable[Destination], addresses: Callable[[str], Sequence[str]] = lambda _host: ()
    ) -> None:
        """`addresses` of a host name; none while they are not known."""
        self._addresses = addresses
        self._by_title: defaultdict[str, list[str]] = defaultdict(list)
        self._by_address: defaultdict[str, list[str]] = defaultdict(list)
        for one in destinations:
            for peer in one.members if isinstance(one, GroupDestination) else (one,):
                self._add(one.name, peer)

    def _add(self, name: str, peer: Member) -> None:
        """What went to a group may be at any of its members."""
        match peer:
            case DicomDestination():
                self._by_title[peer.ae_title].append(name)
                self._at(peer.host, name)
            case DicomWebDestination():
                self._at(urlsplit(peer.url).hostname or "", name)
            case _:
                pass

    def _at(self, host: str, name: str) -> None:
        for address in {host, *self._addresses(host)}:
            self._by_address[address].append(name)

    def of(self, facts: AssociationFacts) -> Mapping[str, bool]:
        """The names of the destinations that the sender may be, and whether its AE title says so.

        An address alone is weaker: several systems share one, and whoever sent an object first may be such a neighbour.
        """
        by_address = self._by_address.get(facts.peer_address, ())
        by_title = self._by_title.get(facts.calling_ae_title, ())
        if not by_address and not by_title:
            return _NOBODY
        return {**dict.fromkeys(by_address, False), **dict.fromkeys(by_title, True)}


_NOBODY: Mapping[str, bool] = {}


def hosts_of(destinations: Iterable[Destination]) -> frozenset[str]:
    """The host names and addresses of those that could send back to us."""
    found = set()
    for one in destinations:
        for peer in one.members if isinstance(one, GroupDestination) else (one,):
            if isinstance(peer, DicomDestination):
                found.add(peer.host)
            elif isinstance(peer, DicomWebDestination):
                found.add(urlsplit(peer.url).hostname or "")
    return frozenset(found)
