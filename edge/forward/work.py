"""What one `deliver` has to do, shared by the associations that do it: the instances of a study stay together."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Sequence

from edge.forward.base import Outcome, Settle
from edge.model import ClaimedDelivery, Priority


class Work:
    """Deliveries in order, by priority and study. Any thread may take of it."""

    def __init__(self, deliveries: Sequence[ClaimedDelivery]) -> None:
        # By priority too: what is less urgent of an urgent study must not come before another urgent one.
        studies: dict[tuple[Priority, str], deque[ClaimedDelivery]] = {}
        for one in deliveries:
            studies.setdefault((one.priority, one.study_instance_uid), deque()).append(one)
        self._lock = threading.Lock()
        self._studies = deque(studies.values())
        self._sent_twice: set[int] = set()

    def __len__(self) -> int:
        """How many studies nobody has taken yet."""
        with self._lock:
            return len(self._studies)

    def next_study(self) -> deque[ClaimedDelivery]:
        """The next one's instances, empty when there is none. They belong to the caller."""
        with self._lock:
            return self._studies.popleft() if self._studies else deque()

    def put_back(self, deliveries: Iterable[ClaimedDelivery]) -> None:
        """These were not sent; they go before all others."""
        study = deque(deliveries)
        with self._lock:
            if study:
                self._studies.appendleft(study)

    def may_send_again(self, deliveries: Iterable[ClaimedDelivery]) -> bool:
        """Whether none of these was sent twice; from now on they were."""
        ids = {one.delivery_id for one in deliveries}
        with self._lock:
            if ids & self._sent_twice:
                return False
            self._sent_twice |= ids
            return True

    def was_sent_before(self, delivery: ClaimedDelivery) -> bool:
        """Whether an association was lost under it: the peer may have it."""
        return delivery.delivery_id in self._sent_twice


class Settling:
    """Settles for the lane, and keeps what the lane raises until everything under way has its outcome too."""

    def __init__(self, settle: Settle) -> None:
        self._settle = settle
        self.raised: Exception | None = None
        """Once it is there, nothing more is sent."""

    def __call__(self, delivery: ClaimedDelivery, outcome: Outcome) -> None:
        """Write down this outcome; never raises."""
        try:
            self._settle(delivery, outcome)
        except Exception as error:
            self.raised = self.raised or error

    def fail(self, error: Exception) -> None:
        """Something else went wrong; nothing more is sent."""
        self.raised = self.raised or error
