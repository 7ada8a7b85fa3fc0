"""How full a disk may become before delivered studies leave it (pure)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Watermarks:
    """Parts of the disk in per cent: above the high one studies leave, down to the low one."""

    high: int
    low: int

    def excess(self, *, free: int, total: int, least_free: int) -> int:
        """How many bytes have to go: none below the high mark while intake has the room that it needs."""
        used = max(0, total - free)
        if used * 100 <= total * self.high and free >= least_free:
            return 0
        return max(used - total * self.low // 100, 2 * least_free - free, 0)
