"""The words of a site's HAProxy pools: what a policy asks for, and what the manager at the site is told.

A policy names listeners and rules; its members are the nodes of the site, whose addresses the control plane adds.
A pool file has the addresses in it and needs nobody.

Each field's description completes the sentence "`field` must be …".
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

FORMAT = 1

Word = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?$",
        description="a name of 1 to 63 letters, digits, - and _, as HAProxy takes it",
    ),
]
# Names, IPv4, and IPv6 in brackets. Whether it is an address is told by the second check, in words.
Endpoint = Annotated[
    str,
    Field(
        pattern=r"^(?:\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?):[0-9]{1,5}$",
        description="HOST:PORT, such as 10.0.0.5:104 or [fd00::5]:104",
    ),
]
Network = Annotated[
    str,
    Field(pattern=r"^[0-9A-Fa-f:.]{2,45}(?:/[0-9]{1,3})?$", description="a network, such as 10.1.0.0/16 or fd00::/8"),
]
FilePath = Annotated[
    str, Field(pattern=r"^/[A-Za-z0-9._/@+-]{1,250}$", description="an absolute path of a file on the HAProxy host")
]
State = Literal["ready", "drain", "maint"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class ListenerModel(_Strict):
    """An address that modalities or browsers connect to."""

    name: Word
    kind: Literal["dicom", "dicom-tls", "dicom-tls-terminated", "dicomweb"] = Field(
        description="`dicom`, `dicom-tls` (passed through), `dicom-tls-terminated` or `dicomweb`"
    )
    bind: Endpoint
    called_ae_title: str = Field(
        default="SKERRY",
        pattern=r"^[!-\[\]-~](?:[ -\[\]-~]{0,14}[!-\[\]-~])?$",
        description="the AE title that the health check calls: 1 to 16 ASCII characters without backslash",
    )
    calling_ae_title: str = Field(
        default="HAPROXY",
        pattern=r"^[!-\[\]-~](?:[ -\[\]-~]{0,14}[!-\[\]-~])?$",
        description="the AE title that the health check bears: 1 to 16 ASCII characters without backslash",
    )
    certificate: FilePath | None = None
    """For `dicom-tls-terminated`: certificate, chain and key in one PEM file."""
    client_ca: FilePath | None = None
    """For `dicom-tls-terminated`: whose client certificates are asked for; None asks for none."""
    networks: list[Network] = Field(default_factory=list, description="a list of networks; `[]` lets everybody connect")
    max_connections: int = Field(default=1000, ge=1, le=100_000, description="a number from 1 to 100000")
    proxy_protocol: bool = Field(default=True, description="`true` or `false`: tell nodes the caller's own address")


class AddressesModel(_Strict):
    """Where HAProxy reaches a node."""

    dicom: Endpoint | None = None
    dicom_tls: Endpoint | None = None
    dicomweb: Endpoint | None = None
    agent: Endpoint | None = None
    """Where the node itself says whether it wants work (HAProxy's agent-check)."""


class MemberModel(_Strict):
    """A node of the pool. In a policy: what is special about one of the site's nodes."""

    node: Word
    weight: int = Field(default=100, ge=0, le=256, description="a share from 0 to 256; 100 when left out")
    max_connections: int | None = Field(default=None, ge=1, le=100_000, description="a number from 1 to 100000")
    state: State = Field(default="ready", description="`ready`, `drain` or `maint`")
    since: int = Field(default=0, ge=0, description="when a person said so, in seconds since 1970; 0: nobody did")
    deadline: int = Field(default=0, ge=0, description="when a drain becomes maint, seconds since 1970; 0: never")
    addresses: AddressesModel = Field(default_factory=AddressesModel, description="a group of addresses")


class MaintenanceModel(_Strict):
    """Hours in which a node is drained by itself."""

    node: Word
    from_: str = Field(alias="from", pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$", description="a time such as '02:00'")
    until: str = Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$", description="a time such as '04:00'")
    zone: str = Field(max_length=64, description="a time zone of the IANA database, such as Europe/Berlin")
    days: list[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]] | None = Field(
        default=None, min_length=1, description="the days on which it begins, such as [sun]"
    )


class SharedAddressModel(_Strict):
    """An address that two HAProxy hosts hold in turn, through keepalived (VRRP, RFC 5798)."""

    address: Network
    """With its prefix length, as an interface takes it."""
    interface: str = Field(pattern=r"^[A-Za-z0-9._-]{1,15}$", description="a network interface, such as eth0")
    router_id: int = Field(ge=1, le=255, description="a number from 1 to 255 that is free in this network")
    hosts: list[str] = Field(
        min_length=1, max_length=4, description="the addresses of the HAProxy hosts, the preferred one first"
    )


class PoolModel(_Strict):
    """One pool: listeners, and the nodes behind them."""

    name: Word
    listeners: list[ListenerModel] = Field(min_length=1, max_length=16, description="a list of listeners")
    balance: Literal["leastconn", "roundrobin", "source"] = Field(
        default="leastconn", description="`leastconn`, `roundrobin` or `source`; `leastconn` when left out"
    )
    check_seconds: int = Field(default=2, ge=1, le=60, description="seconds between health checks, from 1 to 60")
    slow_start_seconds: int = Field(default=10, ge=0, le=600, description="seconds, from 0 to 600")
    members: list[MemberModel] = Field(
        default_factory=list, max_length=64, description="a list of nodes that differ from the others"
    )
    maintenance: list[MaintenanceModel] = Field(default_factory=list, max_length=64, description="a list of hours")
    shared_address: SharedAddressModel | None = Field(default=None, description="a group of keys")


class PoolsDocument(_Strict):
    """All pools of one site with the addresses of their members: what HAProxy at that site shall do."""

    skerry_pools: Literal[1] = Field(description="the document format, 1")
    site: str = Field(default="", max_length=63, description="the name of the site")
    order: int = Field(default=0, ge=0, description="a number; a higher one replaces a lower one")
    pools: list[PoolModel] = Field(max_length=16, description="a list of pools, `[]` for none")
