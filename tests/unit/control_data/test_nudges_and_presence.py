"""What travels over MQTT."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from control.broker.nudges import Presence, nudge_payload, read_presence, unsent


def test_only_sites_whose_place_changed_are_told_again() -> None:
    wanted = {"north": (1, 4), "south": (1, 2), "west": (2, 1)}
    assert list(unsent(wanted, {"north": (1, 4), "south": (1, 1)})) == [("south", (1, 2)), ("west", (2, 1))]
    assert list(unsent(wanted, wanted)) == []


def test_a_nudge_names_the_place_and_nothing_else() -> None:
    assert json.loads(nudge_payload((3, 17))) == {"generation": 3, "version": 17}


def test_a_presence_is_read() -> None:
    assert read_presence(b'{"state": "online", "boot_id": "b1"}') == Presence(state="online", boot_id="b1")
    assert read_presence(b'{"state": "offline"}') == Presence(state="offline", boot_id="")


@given(st.binary() | st.none() | st.text() | st.recursive(st.none() | st.text() | st.integers(), st.lists).map(
    lambda value: json.dumps(value).encode()
))  # fmt: skip
def test_anything_else_is_nobody(payload: object) -> None:
    assert read_presence(payload) is None


def test_odd_members_are_nobody() -> None:
    for content in (
        {"state": "maybe"},
        {"state": ["online"]},
        {"state": "online", "boot_id": 7},
        {"state": "online", "boot_id": "x" * 65},
    ):
        assert read_presence(json.dumps(content).encode()) is None, content
    assert read_presence(b"[" * 1024) is None
