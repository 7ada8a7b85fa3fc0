"""The slow round of a node: what it prepares, and when."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge import housekeeping
from edge.buffer import slot_maker
from edge.buffer.slot_maker import SlotMaker
from edge.buffer.store import Buffer
from edge.health import HealthBoard
from edge.housekeeping import Housekeeping

BUDGET = 8 << 20


def test_a_new_node_prepares_all_its_slots_at_once_and_not_a_few_in_each_round(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slot_maker, "ROUND_BYTES", 1 << 20)
    monkeypatch.setattr(housekeeping, "QUIET_SECONDS", -1.0)
    buffer = Buffer(tmp_path, ready_bytes=BUDGET)
    slots = SlotMaker(tmp_path / "spool", buffer.slots, BUDGET)
    keeper = Housekeeping(buffer, HealthBoard(), lambda: None, has_centre=False, min_free_bytes=0, slots=slots)
    try:
        keeper.prepare_slots()  # does not know yet whether something came in
        keeper.prepare_slots()
        assert slots.missing_bytes() == 0
        assert buffer.slots.empty_bytes() > BUDGET * 0.7
    finally:
        slots.close()
        buffer.close()
