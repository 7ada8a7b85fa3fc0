"""A document as what HAProxy is to have: its file, its servers, and whether it has them. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from haproxy.manager.observing import Reading
from haproxy.manager.state_file import WantedServer
from haproxy.manager.state_file import server_state as state_text
from haproxy.manager.words import Said
from haproxy.places import Places
from haproxy.pool.render import Surroundings, render
from mesh.pools import AddressesModel, ListenerModel, PoolsDocument


def text_of(document: PoolsDocument, places: Places) -> str:
    """The file that HAProxy reads."""
    around = Surroundings(
        stats_socket=places.stats_socket, exporter_socket=places.exporter_socket, server_state=places.server_state
    )
    return render(document, around)


def weighed(document: PoolsDocument, said: Said) -> PoolsDocument:
    """The document with the weights that hold now: an agent gives parts of what the file says, so they belong there."""
    pools = [
        pool.model_copy(
            update={
                "members": [
                    member.model_copy(update={"weight": word.weight})
                    if (word := said.weights.get(member.node)) is not None and word.instead_of == member.weight
                    else member
                    for member in pool.members
                ]
            }
        )
        for pool in document.pools
    ]
    return document.model_copy(update={"pools": pools})


def servers(document: PoolsDocument) -> tuple[WantedServer, ...]:
    """Every server of every listener."""
    return tuple(_servers(document))


def doors(document: PoolsDocument, node: str) -> Iterator[Mapping[str, Any]]:
    """Where the checks of a node's DICOM listeners ask it, and how; each once."""
    seen = []
    for pool in document.pools:
        for listener in pool.listeners:
            for member in pool.members:
                endpoint = _reached(listener, member.addresses)
                if member.node != node or endpoint is None or listener.kind not in ("dicom", "dicom-tls-terminated"):
                    continue
                host, _, port = endpoint.rpartition(":")
                door = {
                    "host": host.strip("[]"),
                    "port": int(port),
                    "called": listener.called_ae_title,
                    "calling": listener.calling_ae_title,
                    "proxied": listener.proxy_protocol,
                }
                if door not in seen:
                    seen.append(door)
                    yield door


def _servers(document: PoolsDocument) -> Iterator[WantedServer]:
    for pool in document.pools:
        for listener in pool.listeners:
            for member in pool.members:
                endpoint = _reached(listener, member.addresses)
                if endpoint is not None:
                    host, _, port = endpoint.rpartition(":")
                    yield WantedServer(
                        proxy=f"{pool.name}.{listener.name}",
                        server=member.node,
                        address=host.strip("[]"),
                        port=int(port),
                        weight=member.weight,
                        state=member.state,
                    )


def _reached(listener: ListenerModel, addresses: AddressesModel) -> str | None:
    match listener.kind:
        case "dicom" | "dicom-tls-terminated":
            return addresses.dicom
        case "dicom-tls":
            return addresses.dicom_tls
        case "dicomweb":
            return addresses.dicomweb


def server_state(document: PoolsDocument, reading: Reading | None) -> str:
    """What a new worker is told of its servers."""
    before = reading.state if reading is not None else ()
    return state_text(servers(document), before, reading.heading if reading is not None else "")


def differences(document: PoolsDocument, reading: Reading) -> str:
    """What HAProxy has otherwise than the document wants, that only a reload can change; in words."""
    want = {(one.proxy, one.server): one for one in servers(document)}
    have = {(row.proxy, row.server): row for row in reading.state if row.proxy.count(".") == 1}
    words = [f"{proxy}/{server} is missing" for proxy, server in sorted(want.keys() - have.keys())]
    words += [f"{proxy}/{server} is too many" for proxy, server in sorted(have.keys() - want.keys())]
    words += [
        f"{'/'.join(key)} is reached at port {have[key].port}"
        for key in sorted(want.keys() & have.keys())
        if have[key].port != want[key].port
    ]
    open_doors = {row.proxy for row in reading.stat if row.name == "FRONTEND" and row.status == "OPEN"}
    doors = {f"{pool.name}.{listener.name}" for pool in document.pools for listener in pool.listeners}
    words += [f"{door} does not listen" for door in sorted(doors - open_doors)]
    return "; ".join(words)
