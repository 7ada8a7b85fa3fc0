"""What was sent, what arrived unchanged, and what the centre knows: three separate facts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from provisioning.local.dataset import Part10
from provisioning.local.images import Image


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """The numbers of a pass."""

    sent: int
    delivered: int
    """In the PACS of their site, with the very bytes of the data set that the modality sent."""
    indexed: int
    """In the central search, under their site, and known there as delivered."""

    @property
    def lost(self) -> int:
        """Sent, and not in the PACS as they should be."""
        return self.sent - self.delivered

    @property
    def whole(self) -> bool:
        """Nothing is missing anywhere."""
        return self.sent == self.delivered == self.indexed > 0

    def __str__(self) -> str:
        return f"sent {self.sent} delivered {self.delivered} indexed {self.indexed} lost {self.lost}"


class Ledger:
    """Compares what was sent with what is seen."""

    def __init__(self) -> None:
        self._sent: dict[str, tuple[str, Image]] = {}
        self._delivered: set[str] = set()
        self._indexed: set[str] = set()
        self._changed: set[str] = set()

    def note_sent(self, site: str, images: Iterable[Image]) -> None:
        """These were handed to a node of the site."""
        self._sent.update({image.sop_instance_uid: (site, image) for image in images})

    def note_pacs(self, site: str, parts: Mapping[str, Part10]) -> None:
        """The PACS of the site holds these."""
        for uid, part in parts.items():
            expected, image = self._sent.get(uid, ("", None))
            if image is None or expected != site:
                continue
            if image.arrived_whole_as(part):
                self._delivered.add(uid)
                self._changed.discard(uid)
            else:
                self._changed.add(uid)

    def note_search(self, instances: Iterable[Mapping[str, Any]]) -> None:
        """The central search lists these."""
        for instance in instances:
            uid = instance["sop_instance_uid"]
            if self._sent.get(uid, ("",))[0] == instance["site"] and instance["progress"] == "delivered":
                self._indexed.add(uid)

    @property
    def delivered(self) -> frozenset[str]:
        """The UIDs that need not be looked at again."""
        return frozenset(self._delivered)

    def tally(self) -> Tally:
        """The numbers now."""
        return Tally(sent=len(self._sent), delivered=len(self._delivered), indexed=len(self._indexed))

    def missing(self) -> list[str]:
        """What is not as it should be, one line a file, for people."""
        lines = []
        for uid, (site, image) in self._sent.items():
            if uid in self._changed:
                lines.append(f"{image.path.name}: its data set changed on the way to {site}'s PACS")
            elif uid not in self._delivered:
                lines.append(f"{image.path.name}: not in {site}'s PACS")
            elif uid not in self._indexed:
                lines.append(f"{image.path.name}: not in the central search as delivered")
        return lines
