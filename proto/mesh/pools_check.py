"""What is wrong with pools that have the right shape: one list of rules for policies, pool files and managers. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from mesh.pools import ListenerModel, PoolModel

WILDCARDS = frozenset({"0.0.0.0", "::"})  # noqa: S104  # to be recognised, not to be listened on


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One mistake."""

    place: tuple[int | str, ...]
    """Below `pools`: indexes and keys."""
    message: str
    hint: str

    def sentence(self) -> str:
        """For people, with its place."""
        where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in ("pools", *self.place))
        return f"{where.lstrip('.')}: {self.message}. {self.hint}"


def findings(pools: Sequence[PoolModel]) -> list[Finding]:
    """Every mistake; `[]` when there is none. Whether HAProxy takes it is another question, which HAProxy answers."""
    return [*_twice(pools), *_binds(pools), *(found for n, pool in enumerate(pools) for found in _pool(n, pool))]


def _twice(pools: Sequence[PoolModel]) -> Iterator[Finding]:
    yield from _names([((n, "name"), pool.name) for n, pool in enumerate(pools)])
    for n, pool in enumerate(pools):
        yield from _names([((n, "listeners", m, "name"), one.name) for m, one in enumerate(pool.listeners)])
        yield from _names([((n, "members", m, "node"), one.node) for m, one in enumerate(pool.members)])


def _names(named: Iterable[tuple[tuple[int | str, ...], str]]) -> Iterator[Finding]:
    seen = set()
    for place, name in named:
        if name in seen:
            yield Finding(place=place, message=f"the name `{name}` is there twice", hint="Give one another name.")
        seen.add(name)


def _binds(pools: Sequence[PoolModel]) -> Iterator[Finding]:
    known: list[tuple[str, int, str]] = []
    for n, pool in enumerate(pools):
        for m, listener in enumerate(pool.listeners):
            place = (n, "listeners", m, "bind")
            host, port = endpoint(listener.bind)
            if not 1 <= port <= 65535:
                yield Finding(place=place, message=f"{port} is no port", hint="Ports are 1 to 65535.")
            if not _is_address(host):
                yield Finding(
                    place=place, message=f"{host} is no address", hint="Give one of this host's, or 0.0.0.0 for all."
                )
            for other, other_port, name in known:
                if port == other_port and _meet(host, other):
                    yield Finding(
                        place=place,
                        message=f"{listener.bind} is listened on by `{name}`, too",
                        hint="Give one of them another port or address.",
                    )
            known.append((host, port, f"{pool.name}.{listener.name}"))


def _meet(one: str, other: str) -> bool:
    same_family = (":" in one) == (":" in other)
    return one == other or (same_family and bool({one, other} & WILDCARDS))


def _pool(n: int, pool: PoolModel) -> Iterator[Finding]:
    for m, listener in enumerate(pool.listeners):
        yield from _listener((n, "listeners", m), listener)
    for m, member in enumerate(pool.members):
        for name, address in member.addresses.model_dump().items():
            if address is not None and not 1 <= endpoint(address)[1] <= 65535:
                place = (n, "members", m, "addresses", name)
                yield Finding(place=place, message=f"{address} has no port", hint="Ports are 1 to 65535.")
    for m, hours in enumerate(pool.maintenance):
        if hours.from_ == hours.until:
            message = "the hours end when they begin"
            yield Finding(place=(n, "maintenance", m, "until"), message=message, hint="Give another time.")
        if not _is_zone(hours.zone):
            hint = "Take a name of the IANA database, such as Europe/Berlin."
            yield Finding(place=(n, "maintenance", m, "zone"), message=f"`{hours.zone}` is no time zone", hint=hint)
    shared = pool.shared_address
    if shared is not None:
        for m, host in enumerate(shared.hosts):
            if not _is_address(host):
                message = f"`{host}` is no address"
                yield Finding(place=(n, "shared_address", "hosts", m), message=message, hint="Give the host's address.")


def _listener(place: tuple[int | str, ...], listener: ListenerModel) -> Iterator[Finding]:
    ends_tls = listener.kind == "dicom-tls-terminated"
    if ends_tls and listener.certificate is None:
        hint = "Give the PEM file with certificate, chain and key on the HAProxy host."
        yield Finding(place=(*place, "kind"), message="a listener that ends TLS needs a `certificate`", hint=hint)
    for key in ("certificate", "client_ca"):
        if not ends_tls and getattr(listener, key) is not None:
            message = f"a listener of kind `{listener.kind}` uses no `{key}`"
            yield Finding(place=(*place, key), message=message, hint="Remove it, or take kind dicom-tls-terminated.")
    for m, network in enumerate(listener.networks):
        if not _is_network(network):
            hint = "Write it like 10.1.0.0/16; the bits behind the prefix are 0."
            yield Finding(place=(*place, "networks", m), message=f"`{network}` is no network", hint=hint)


def endpoint(text: str) -> tuple[str, int]:
    """Host without brackets, and port."""
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return True


def _is_zone(text: str) -> bool:
    try:
        ZoneInfo(text)
    except (OSError, ValueError, KeyError):
        return False
    return True
