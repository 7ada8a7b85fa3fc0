"""How long to wait before the next try (pure): full jitter, so that not all nodes come back at once."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """A cap on the delay, never on the number of tries."""

    base_seconds: float = 1.0
    cap_seconds: float = 60.0

    def delay(self, failures: int, chance: float, *, at_least: float = 0.0) -> float:
        """Seconds to wait after `failures` failures in a row; `chance` is a random number in [0, 1).

        `at_least` is what the other side asked for; the jitter then comes on top, so that not all return together.
        """
        # The exponent is bounded because a float would overflow after a long outage.
        ceiling = min(self.cap_seconds, self.base_seconds * 2.0 ** min(failures, 32))
        return max(0.0, at_least) + ceiling * chance


def spread(seconds: float, chance: float) -> float:
    """`seconds`, 20 % more or less; `chance` is a random number in [0, 1)."""
    return seconds * (0.8 + 0.4 * chance)
