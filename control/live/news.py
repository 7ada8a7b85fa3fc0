"""What one applied batch is worth telling people who watch (pure)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from control.deliveries.changes import DeliveryChange, DeliveryState
from control.instances.received import ReceivedInstance

MAX_STUDIES = 50
"""A batch that touches more studies than a screen has lines is told of as one number."""

COUNTED = {
    DeliveryState.DELIVERED: "delivered",
    DeliveryState.RETRY_WAIT: "retrying",
    DeliveryState.PARKED: "parked",
    DeliveryState.QUARANTINED: "parked",
}
"""Changes that people watch for. That something is due or being sent follows from its reception."""


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """One line of the feed."""

    kind: str
    body: Mapping[str, Any]


def news_of(*, site: str, node_id: str, events: Iterable[ReceivedInstance | DeliveryChange]) -> Sequence[News]:
    """One line for each study that changed: how many objects were received, delivered, retried and parked."""
    counts: dict[str, dict[str, int]] = {}
    for event in events:
        word = "received" if isinstance(event, ReceivedInstance) else COUNTED.get(event.state)
        if word is not None:
            study = counts.setdefault(event.study_instance_uid, {})
            study[word] = study.get(word, 0) + 1
    place = {"site": site, "node_id": node_id}
    if len(counts) > MAX_STUDIES:
        return [News(kind="many_studies_changed", body={**place, "studies": len(counts)})]
    return [
        News(kind="study_changed", body={**place, "study_instance_uid": uid, **counted})
        for uid, counted in counts.items()
    ]
