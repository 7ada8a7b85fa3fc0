"""What the order of deliveries must look like when some are more urgent than others."""

from __future__ import annotations

from collections.abc import Sequence

from edge.buffer.claims import ONE_IN
from edge.model import Priority


def assert_priority_order(urgency: Sequence[Priority]) -> None:
    """Nothing goes ahead of what is more urgent, but for one in 25: the oldest that waits."""
    for priority in (Priority.STAT, Priority.NORMAL):
        last = max(place for place, one in enumerate(urgency) if one is priority)
        ahead = sum(one > priority for one in urgency[:last])
        assert ahead <= last / ONE_IN + 1, (priority.word, ahead, last)
