"""What answers to STOW-RS requests mean."""

from __future__ import annotations

import json

import pytest

from edge.forward.base import Accepted, DestinationDown, Outcome, Refused, TryLater
from edge.forward.stow_answers import StowAnswer, outcome_of_answer

UID = "1.2.3"


def _body(failed: tuple[str, int] | None = None, stored: tuple[str, int] | None = None) -> bytes:
    def items(found: tuple[str, int] | None, reason: str) -> dict[str, object]:
        if found is None:
            return {"vr": "SQ"}
        item: dict[str, object] = {"00081155": {"vr": "UI", "Value": [found[0]]}}
        if found[1]:
            item[reason] = {"vr": "US", "Value": [found[1]]}
        return {"vr": "SQ", "Value": [item]}

    return json.dumps({"00081198": items(failed, "00081197"), "00081199": items(stored, "00081196")}).encode()


def _outcome(status: int, body: bytes = b"", *, attempts: int = 1, retry_after: str = "") -> Outcome:
    return outcome_of_answer(StowAnswer(status=status, body=body, retry_after=retry_after), UID, attempts=attempts)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (200, b"", Accepted),
        (200, b"<xml/>", Accepted),
        (200, b"[" * 100_000, Accepted),
        (200, _body(stored=(UID, 0)), Accepted),
        (200, _body(stored=("9.9", 0)), Accepted),  # the service gave it a UID of its own
        (200, _body(), Refused),  # lists nothing as stored
        (200, _body(failed=(UID, 0xC000)), Refused),
        (202, _body(stored=(UID, 0xB000)), Accepted),
        (202, _body(failed=(UID, 0xA700)), TryLater),
        (202, b"", TryLater),
        (409, _body(failed=(UID, 0x0122)), Refused),
        (409, _body(failed=(UID, 0x0110)), TryLater),
        (409, _body(failed=(UID, 0)), TryLater),
        (409, b"no", Refused),
        (400, b"", Refused),
        (413, b"", Refused),
        (415, b"", Refused),
        (418, b"", Refused),
        (408, b"", TryLater),
        (500, b"", TryLater),
        (504, b"", TryLater),
    ],
)
def test_an_answer_decides_over_one_instance(status: int, body: bytes, kind: type[Outcome]) -> None:
    assert type(_outcome(status, body)) is kind


@pytest.mark.parametrize("status", [301, 401, 403, 404, 405, 429, 501, 503, 507])
def test_an_answer_that_speaks_of_the_service_settles_nothing_and_says_what_to_do(status: int) -> None:
    with pytest.raises(DestinationDown, match=str(status)) as caught:
        _outcome(status)
    assert caught.value.hint


def test_already_there_is_our_own_earlier_try_only_when_there_was_one() -> None:
    body = _body(failed=(UID, 0x0111))
    again = _outcome(409, body, attempts=2)
    assert isinstance(again, Accepted)
    assert "already there" in again.note
    first = _outcome(409, body)
    assert isinstance(first, Refused)
    assert "compare the two" in first.reason


def test_a_warning_is_noted() -> None:
    taken = _outcome(202, _body(stored=(UID, 0xB000)))
    assert isinstance(taken, Accepted)
    assert taken.note == "taken with warning 0xB000"


def test_what_a_service_asks_to_wait_is_said_and_nothing_else_of_its_header() -> None:
    with pytest.raises(DestinationDown, match="asks to wait 120 s"):
        _outcome(503, retry_after="120")
    with pytest.raises(DestinationDown) as caught:
        _outcome(503, retry_after="<script>")
    assert "script" not in str(caught.value)


@pytest.mark.parametrize("body", [b"[]", b"[1]", b"null", b'{"00081198": 3}', b'{"00081199": {"Value": {}}}', b"\xff"])
def test_an_answer_that_is_no_data_set_is_read_without_harm(body: bytes) -> None:
    assert isinstance(_outcome(200, body), Accepted | Refused)
