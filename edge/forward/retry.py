"""When to try again (pure): exponential, capped, with full jitter; the number of tries has no limit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Pauses between tries, in seconds."""

    base: float = 1.0
    cap: float = 60.0

    def pause(self, failures: int, random: Callable[[], float]) -> float:
        """The pause after so many failures in a row: between half and all of min(cap, base * 2^(failures-1)).

        `random` gives numbers from 0 to 1. The jitter keeps a mesh of nodes from knocking at the same moment.
        """
        if failures < 1:
            return 0.0
        whole = min(self.cap, self.base * 2.0 ** min(failures - 1, 40))
        return whole * (0.5 + 0.5 * random())
