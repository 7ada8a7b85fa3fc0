"""What the policy in force asks of the processes that know no policy: a small file that core replaces.

They look at it about twice a second. While core is dead, the last one holds.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from edge.model import (
    Budget,
    Destination,
    DicomDestination,
    DicomWebDestination,
    FolderDestination,
    GroupDestination,
    Member,
    S3Destination,
    Tls,
)
from edge.run_dir import RunDir
from edge.steps import transform_of
from edge.window import Window

FILE = "orders.json"
LOOK_SECONDS = 0.5
_KINDS: Mapping[str, type[Member]] = {
    "dicom": DicomDestination,
    "folder": FolderDestination,
    "dicomweb": DicomWebDestination,
    "s3": S3Destination,
}
_GROUP = "group"


@dataclass(frozen=True, kw_only=True)
class Orders:
    """Where to deliver to."""

    policy: str = ""
    """The label of the policy that says so."""
    destinations: tuple[Destination, ...] = ()

    def share(self, number: int, of: int) -> tuple[Destination, ...]:
        """The destinations of one of several processes that deliver: each belongs to exactly one of them.

        Those that share a budget are together, because it is kept in memory.
        """
        return tuple(one for one in self.destinations if zlib.crc32(_together(one).encode()) % of == number)


def _together(one: Destination) -> str:
    members = one.members if isinstance(one, GroupDestination) else (one,)
    return next((member.budget.name for member in members if member.budget is not None), one.name)


def publish(run_dir: RunDir, orders: Orders) -> None:
    """Tell the other processes."""
    destinations = [_written(one) for one in orders.destinations]
    run_dir.write(FILE, {"policy": orders.policy, "destinations": destinations})


def _written(one: Destination) -> dict[str, Any]:
    if isinstance(one, GroupDestination):
        return {"kind": _GROUP, **asdict(one), "members": [_written(member) for member in one.members]}
    return {"kind": next(name for name, kind in _KINDS.items() if kind is type(one)), **asdict(one)}


class OrdersWatch:
    """Sees when the orders change."""

    def __init__(self, run_dir: RunDir) -> None:
        self._run_dir, self._stamp = run_dir, 0

    def news(self) -> Orders | None:
        """The orders, when they are others than at the last look."""
        stamp = self._run_dir.stamp(FILE)
        if stamp == self._stamp:
            return None
        self._stamp = stamp
        return _orders(self._run_dir.read(FILE))


def _orders(document: Any) -> Orders | None:
    if not isinstance(document, dict):
        return None
    destinations = tuple(map(_destination, document["destinations"]))
    return Orders(policy=document["policy"], destinations=destinations)


def _destination(values: dict[str, Any]) -> Destination:
    if values["kind"] != _GROUP:
        return _member(values)
    return GroupDestination(
        name=values["name"],
        how=values["how"],
        members=tuple(map(_member, values["members"])),
        window=_window(values["window"]),
    )


def _member(values: dict[str, Any]) -> Member:
    transforms = tuple(map(transform_of, values.pop("transforms", ())))
    window = _window(values.pop("window", None))
    if values.get("tls"):
        values["tls"] = Tls(**values["tls"])
    if values.get("budget"):
        values["budget"] = Budget(**values["budget"])
    values.update({key: tuple(value) for key, value in values.items() if isinstance(value, list)})
    return _KINDS[values.pop("kind")](**values, transforms=transforms, window=window)


def _window(values: dict[str, Any] | None) -> Window | None:
    return Window(**{**values, "days": tuple(values["days"])}) if values else None
