"""What docs/queue.md says is what the code does."""

from __future__ import annotations

import re
from pathlib import Path

from edge.buffer.states import DeliveryState
from edge.policy.steps_text import read_steps

PAGE = (Path(__file__).parents[4] / "docs" / "queue.md").read_text(encoding="utf-8")


def test_every_state_of_a_delivery_is_told() -> None:
    rows = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \| ", PAGE.partition("| Standing")[0], re.MULTILINE)
    assert {word.strip("`") for row in rows for word in row.split(", ")} == set(DeliveryState)


def test_every_list_of_steps_can_be_used() -> None:
    found = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert found
    for example in found:
        assert [step.kind for step in read_steps(example).steps] == ["set", "charset"]
