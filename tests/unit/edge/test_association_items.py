"""Unknown items of an association request are passed over, and nothing else of it changes."""

from __future__ import annotations

import pytest

from edge.upper_layer.items import without_unknown_items
from tests import byte_pdus as pdus
from tests.byte_peer import DEFAULT_CONTEXTS

PLAIN = pdus.associate_rq(DEFAULT_CONTEXTS, more=pdus.window_item(3, 1) + pdus.identity_item(1, b"somebody"))


def test_a_request_without_unknown_items_is_the_same() -> None:
    assert without_unknown_items(PLAIN) is PLAIN


@pytest.mark.parametrize("kind", [0x00, 0x5A, 0xFF])
def test_unknown_user_information_is_left_out(kind: int) -> None:
    more = pdus.item(kind, b"whatever") + pdus.window_item(3, 1)
    more += pdus.identity_item(1, b"somebody") + pdus.item(kind, b"")
    assert without_unknown_items(pdus.associate_rq(DEFAULT_CONTEXTS, more=more)) == PLAIN


def test_unknown_items_of_the_request_itself_are_left_out() -> None:
    body = PLAIN[6:] + pdus.item(0x77, b"x" * 300)
    assert without_unknown_items(pdus.pdu(pdus.ASSOCIATE_RQ, body)) == PLAIN


@pytest.mark.parametrize("cut", [0, 1, 6, 73, 74, 75, 80, 100, len(PLAIN) - 1])
def test_what_cannot_be_read_is_left_as_it_is(cut: int) -> None:
    assert without_unknown_items(PLAIN[:cut]) == PLAIN[:cut]
