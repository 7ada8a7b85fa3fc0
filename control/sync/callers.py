"""Who speaks on the gRPC door: the URI SAN of the client certificate, nothing else. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from control.enrolment.ca import NodeName, read_node_uri

URI_PROPERTY = "peer_uri"


def certified_name(auth_context: Mapping[str, Iterable[bytes]], mesh: str) -> NodeName | None:
    """The node of this mesh that the connection's certificate names, or None."""
    uris = tuple(auth_context.get(URI_PROPERTY, ()))
    if len(uris) != 1:
        return None
    name = read_node_uri(uris[0].decode("ascii", "replace"))
    return name if name is not None and name.mesh == mesh else None
