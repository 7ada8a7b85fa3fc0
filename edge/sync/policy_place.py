"""Where a policy stands in the order of its site, and what it is remembered by (pure)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from mesh.v1.common_pb2 import PolicyBundle


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Place:
    """A policy's place in the order: a higher generation wins, then a higher version."""

    generation: int
    version: int

    def __str__(self) -> str:
        return f"{self.generation}.{self.version}"


def place_of(bundle: PolicyBundle) -> Place:
    """The bundle's place in the order."""
    return Place(generation=bundle.version.generation, version=bundle.version.version)


def policy_label(bundle: PolicyBundle) -> str:
    """`<generation>.<version>`: what a decision is labelled with."""
    return str(place_of(bundle))


def fingerprint(bundle: PolicyBundle) -> str:
    """What a refusal is remembered by: everything in it.

    So the same text with a mended signature is tried, and the same text that people publish anew.
    """
    return hashlib.sha256(bundle.SerializeToString(deterministic=True)).hexdigest()
