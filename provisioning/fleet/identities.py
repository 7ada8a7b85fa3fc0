"""The identities of simulated edges, in one file that only its owner may read."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from provisioning.errors import ProvisioningError

FILE = "fleet.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What an edge keeps of its enrolment."""

    node_id: str
    site: str
    node_name: str
    grpc_endpoint: str
    mqtt_endpoint: str
    certificate_pem: str
    ca_pem: str
    key_pem: str = field(repr=False)


def add(folder: Path, found: Iterable[Identity]) -> None:
    """Keep these too."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / FILE, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.writelines(json.dumps(asdict(one)) + "\n" for one in found)


def load(folder: Path, limit: int | None = None, *, grpc: str | None = None, mqtt: str | None = None) -> list[Identity]:
    """The first `limit` of them, with other endpoints than they were enrolled with when these are given.

    Raises:
        ProvisioningError: there is no fleet in this folder.
    """
    try:
        lines = (folder / FILE).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise ProvisioningError(f"{folder} holds no fleet", hint="Make one: `skerry-fleet join`.") from None
    moved = {key: value for key, value in (("grpc_endpoint", grpc), ("mqtt_endpoint", mqtt)) if value is not None}
    return [Identity(**(json.loads(line) | moved)) for line in lines[:limit]]
