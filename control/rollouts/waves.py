"""Which node is in which wave. Pure; decided once at the start, so that nodes that come or go move nobody else."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence

from control.policy_errors import InvalidRollout

DEFAULT_WAVES = ("1", "10%", "50%", "100%")
MOST_WAVES = 20
_WAVE = re.compile(r"([1-9][0-9]{0,5})(%?)", re.ASCII)


def sizes(waves: Sequence[str], nodes: int) -> Sequence[int]:
    """How many nodes have the policy after each wave; waves that would add nobody are left out.

    Raises:
        InvalidRollout: a wave cannot be read, or they do not rise to 100%.
    """
    if not 1 <= len(waves) <= MOST_WAVES or waves[-1] != "100%":
        raise InvalidRollout(f"There are 1 to {MOST_WAVES} waves, and the last one is 100%.")
    counts = [_count(one, nodes) for one in waves]
    if counts != sorted(counts):
        raise InvalidRollout("Each wave holds the one before and more.", hint="Such as 1, 10%, 50%, 100%.")
    return sorted(set(counts))


def _count(wave: str, nodes: int) -> int:
    read = _WAVE.fullmatch(wave)
    number = int(read[1]) if read else 0
    if read is None or (read[2] and number > 100):
        raise InvalidRollout(f"{wave[:20]!r} is no wave.", hint="A wave is a number of nodes, or a share such as 10%.")
    return min(nodes, -(-nodes * number // 100) if read[2] else number)


def members(rollout_id: str, heard: Iterable[str], silent: Iterable[str], waves: Sequence[str]) -> dict[str, int]:
    """Node id -> its wave, counted from 0: in the order of a hash, so that not always the same ones go first.

    Nodes that are not heard of go last: they would prove nothing.
    """

    def place(node_id: str) -> bytes:
        return hashlib.sha256(f"{rollout_id}/{node_id}".encode()).digest()

    order = [*sorted(heard, key=place), *sorted(silent, key=place)]
    ends = sizes(waves, len(order))
    return {
        node_id: next(wave for wave, end in enumerate(ends) if position < end) for position, node_id in enumerate(order)
    }
