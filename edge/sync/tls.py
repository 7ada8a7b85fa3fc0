"""TLS as this node, for what needs an `ssl` context: the broker and the diagnosis."""

from __future__ import annotations

import os
import ssl

from edge.sync.identity import NodeIdentity


def client_context(identity: NodeIdentity) -> ssl.SSLContext:
    """A context that proves this node and trusts only its mesh.

    Raises:
        ssl.SSLError: the key, the certificate or the CA cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=identity.ca_pem.decode("ascii"))
    # `load_cert_chain` reads only files. Memory is not a disk: the key is in no folder but the identity's.
    descriptor = os.memfd_create("identity", os.MFD_CLOEXEC)
    try:
        with os.fdopen(os.dup(descriptor), "wb") as stream:
            stream.write(identity.certificate_pem + b"\n" + identity.key_pem)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)
    return context
