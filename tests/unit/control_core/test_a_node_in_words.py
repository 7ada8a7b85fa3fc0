"""`node show`: a node in lines that a person reads at two in the morning."""

from __future__ import annotations

from typing import Any

import pytest

from control.node_words import duration, node_text

REPORT: dict[str, Any] = {
    "software_version": "0.1.0",
    "dicom_endpoint": "10.0.0.1:11112",
    "active": {"generation": 1, "version": 3},
    "attempt": {"generation": 1, "version": 4},
    "attempt_state": "rejected",
    "attempt_error": "line 3: no such destination",
    "instances_held": 120,
    "deliveries_waiting": 7,
    "deliveries_parked": 2,
    "oldest_waiting_seconds": 7300,
    "outbox_events": 0,
    "spool_free_bytes": 200 << 30,
    "spool_total_bytes": 256 << 30,
    "inflow_bytes_per_hour": 4 << 30,
    "outage_seconds": 50 * 3600,
    "conditions": [{"code": "destination-down", "severity": "high", "text": "PACS is away.", "hint": "Look there."}],
}
NODE: dict[str, Any] = {
    "id": "0123", "name": "ct-gate", "site": "north", "state": "online", "age_seconds": 4, "certificate_days": 21,
    "clock_offset_seconds": -130, "report": REPORT,
}  # fmt: skip


def test_everything_that_people_ask_first_is_in_it() -> None:
    assert node_text(NODE).splitlines() == [
        "ct-gate of north: online, last heard 4 s ago",
        "  id           0123",
        "  certificate  good for 21 days",
        "  version      0.1.0, DICOM at 10.0.0.1:11112",
        "  policy       1.3; 1.4 rejected: line 3: no such destination",
        "  clock        2 min 10 s behind",
        "  buffer       120 instances, 7 deliveries waiting, the oldest for 2 h 1 min, 2 parked",
        "  outbox       0 events not told",
        "  disk         200.0 GiB free of 256.0",
        "  outage       room for 2 d 2 h at 4.0 GiB an hour when nothing leaves",
        "  high   destination-down: PACS is away.",
        "         Look there.",
    ]


def test_a_node_that_never_spoke_and_one_whose_certificate_ended_are_told() -> None:
    text = node_text({**NODE, "age_seconds": None, "state": "never", "certificate_days": -3, "report": None})
    assert "never heard of" in text
    assert "ended 3 days ago" in text
    assert "has not reported yet" in text


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0 s"), (59, "59 s"), (60, "1 min 0 s"), (3661, "1 h 1 min"), (90_000, "1 d 1 h")]
)
def test_a_time_has_two_units(seconds: int, words: str) -> None:
    assert duration(seconds) == words
