"""The last document that was applied: on disk, so that a site starts without its centre."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import structlog
from pydantic import ValidationError

from haproxy.durable import write_durably
from mesh.pools import PoolsDocument

log = structlog.get_logger(__name__)
Origin = Literal["none", "file", "centre"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What runs here, and where it came from."""

    document: PoolsDocument
    fingerprint: str
    origin: Origin


class KeptDocument:
    """Its file. A damaged one is told apart from none."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.damaged = False

    def read(self) -> Kept | None:
        """The last one; None when there is none that can be used."""
        try:
            facts = json.loads(self._path.read_bytes())
            return _kept(facts)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError, ValidationError) as error:
            self.damaged = True
            log.error("pools.kept_unreadable", error=type(error).__name__)
            return None

    def write(self, kept: Kept) -> None:
        """Keep it; it is on the disk when this returns.

        Raises:
            OSError: the disk did not take it.
        """
        text = kept.document.model_dump_json(by_alias=True)
        facts = {
            "origin": kept.origin,
            "fingerprint": kept.fingerprint,
            "sum": hashlib.sha256(text.encode()).hexdigest(),
            "document": text,
        }
        write_durably(self._path, json.dumps(facts, indent=2).encode())
        self.damaged = False


def _kept(facts: Mapping[str, Any]) -> Kept:
    text = facts["document"]
    if hashlib.sha256(text.encode()).hexdigest() != facts["sum"] or facts["origin"] not in ("file", "centre"):
        raise ValueError("it is not what was written")
    document = PoolsDocument.model_validate_json(text)
    return Kept(document=document, fingerprint=str(facts["fingerprint"]), origin=facts["origin"])
