"""The shape of what a policy says about TLS."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from edge.policy.schema_names import Strict

PemFile = Annotated[
    str,
    Field(
        pattern=r"^(/[^\x00]+|[A-Za-z0-9][A-Za-z0-9._-]{0,63})$",
        max_length=4000,
        description="a file with PEM: an absolute path on the node, or the name of a file in the node's credentials",
    ),
]


class TlsModel(Strict):
    """DICOM over TLS (PS3.15 Annex B)."""

    ca: PemFile
    certificate: PemFile | None = None
    key: PemFile | None = None
    server_name: str | None = Field(
        default=None,
        pattern=r"^[^\s/@]+$",
        max_length=253,
        description="the host name or address that stands in the peer's certificate",
    )


TLS = "a group of keys, such as {ca: hospital-ca.pem}"
