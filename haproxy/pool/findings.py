"""What is wrong with a document that has the right shape. Pure."""

from __future__ import annotations

from mesh.pools import PoolsDocument
from mesh.pools_check import findings as found_in


def findings(document: PoolsDocument) -> list[str]:
    """Each mistake in a sentence that names its place and what would be right; `[]` when there is none."""
    return [one.sentence() for one in found_in(document.pools)]
