"""Where balancers of the site reach this node: what it tells the control plane, which makes pools of it."""

from __future__ import annotations

import contextlib
import ipaddress
import socket

WILDCARDS = frozenset({"0.0.0.0", "::", ""})  # noqa: S104  # to be recognised, not to be listened on


def addresses(*, advertise: str, dicom: str, agent: str, toward: str) -> dict[str, str]:
    """HOST:PORT of each door, by the names of the wire's `Addresses`; `{}` when no address of this box is known.

    `advertise` is what a person said; without it the address that is listened on counts, or the one from which this box
    reaches `toward` (HOST:PORT), which sends nothing.
    """
    bound, port = _split(dicom)
    host = advertise.strip("[]") or (bound if bound not in WILDCARDS else _local_address(toward))
    if not host or not port:
        return {}
    found = {"dicom": _joined(host, port)}
    if agent:
        own, agent_port = _split(agent)
        found["agent"] = _joined(host if own in WILDCARDS or advertise else own, agent_port)
    return found


def _split(endpoint: str) -> tuple[str, str]:
    host, _, port = endpoint.rpartition(":")
    return host.strip("[]"), port


def _joined(host: str, port: str) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _local_address(toward: str) -> str:
    """The address that the kernel would send from; empty when there is no way there."""
    host, port = _split(toward)
    with contextlib.suppress(OSError, ValueError):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((host, int(port)))
            found = str(probe.getsockname()[0])
            ipaddress.ip_address(found)
            return found
    return ""
