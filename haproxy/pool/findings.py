"""What is wrong with a document that has the right shape. Pure."""

from __future__ import annotations

from mesh.pools import PoolsDocument


def findings(document: PoolsDocument) -> list[str]:
    """Each mistake in a sentence that names its place and what would be right; `[]` when there is none."""
    binds: dict[str, str] = {}
    found = []
    for pool in document.pools:
        for listener in pool.listeners:
            name = f"{pool.name}.{listener.name}"
            if listener.bind in binds:
                found.append(f"{name} and {binds[listener.bind]} both listen on {listener.bind}: give one another port")
            binds[listener.bind] = name
            if listener.kind == "dicom-tls-terminated" and listener.certificate is None:
                found.append(f"{name} ends TLS and has no certificate: give certificate a PEM file on the HAProxy host")
    return found
