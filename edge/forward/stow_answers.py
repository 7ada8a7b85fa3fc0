"""What the answer to a STOW-RS request means for the one instance that was sent (pure): PS3.18 section 10.5.3."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from edge.forward.base import Accepted, DestinationDown, Outcome, Refused, TryLater
from edge.forward.statuses import outcome_of

_FAILED, _REFERENCED = "00081198", "00081199"
_UID, _WARNING_REASON, _FAILURE_REASON = "00081155", "00081196", "00081197"
_NOT_NOW = {429: "it is asked too often", 503: "it is not available", 507: "it has no room left"}
_REFUSALS = {
    400: "it does not understand the request or the instance",
    409: "it stored nothing and does not say why",
    413: "the instance is too large for it",
    415: "it does not take this kind of instance or transfer syntax",
    422: "it cannot process the instance",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class StowAnswer:
    """What came back."""

    status: int
    body: bytes = b""
    retry_after: str = ""


def outcome_of_answer(answer: StowAnswer, sop_instance_uid: str, *, attempts: int) -> Outcome:
    """What becomes of the instance. What the answer says of it counts more than the status of the whole.

    Raises:
        DestinationDown: the answer speaks of the service and not of the instance.
    """
    _raise_when_down(answer)
    if answer.status in (200, 202, 409):
        told = _told(answer.body, sop_instance_uid, attempts)
        if told is not None:
            return told
    status, words = answer.status, f"the destination answered {answer.status}"
    if status == 202:
        return TryLater(reason=f"{words}: stored in part, and it does not say what became of this one", status=status)
    if 200 <= status < 300:
        return Accepted()
    if status >= 500 or status == 408:
        return TryLater(reason=f"{words}{_wish(answer)}", status=status)
    return Refused(reason=f"{words}: {_REFUSALS.get(status, 'it does not take the instance')}", status=status)


def _raise_when_down(answer: StowAnswer) -> None:
    words = f"it answered {answer.status}"
    if answer.status in (401, 403):
        raise DestinationDown(
            f"{words}: it does not let us store", hint="Check the credentials and what they may do there."
        )
    if answer.status in (404, 405, 501):
        raise DestinationDown(
            f"{words}: there is no STOW-RS service", hint="Check `url`: it is the service root, without /studies."
        )
    if 300 <= answer.status < 400:
        raise DestinationDown(f"{words}: it lies elsewhere", hint="Write into `url` where it leads to.")
    if answer.status in _NOT_NOW:
        raise DestinationDown(
            f"{words}: {_NOT_NOW[answer.status]}{_wish(answer)}", hint="It is tried again by itself; look at its load."
        )


def _wish(answer: StowAnswer) -> str:
    wish = answer.retry_after
    return f"; it asks to wait {wish} s" if wish.isdecimal() and len(wish) < 8 else ""


def _told(body: bytes, uid: str, attempts: int) -> Outcome | None:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if isinstance(document, list) and len(document) == 1:  # some services put the data set into a list
        document = document[0]
    for item in _items(document, _FAILED):
        if _first(item, _UID) in (uid, None):
            reason = _first(item, _FAILURE_REASON)
            if isinstance(reason, int) and reason:
                return outcome_of(reason & 0xFFFF, attempts=attempts)
            return TryLater(reason="the destination did not store it and does not say why")
    for item in _items(document, _REFERENCED):
        if _first(item, _UID) == uid:
            warning = _first(item, _WARNING_REASON)
            if isinstance(warning, int) and warning:
                return Accepted(status=warning & 0xFFFF, note=f"taken with warning 0x{warning & 0xFFFF:04X}")
            return Accepted()
    return None if _silent(document) else _nothing_stored()


def _silent(document: object) -> bool:
    """Whether it says nothing of instances, or speaks of one under a UID that the service gave it."""
    lists = any(_element(document, tag) is not None for tag in (_FAILED, _REFERENCED))
    return not lists or any(True for _item in _items(document, _REFERENCED))


def _nothing_stored() -> Outcome:
    """Orthanc answers 200 with empty lists when it has passed over a part."""
    return Refused(reason="the destination answered without an error and lists no instance as stored")


def _items(document: object, tag: str) -> Iterator[dict[str, object]]:
    """The items of a sequence in DICOM JSON (PS3.18 Annex F)."""
    yield from (item for item in _values(document, tag) if isinstance(item, dict))


def _first(item: object, tag: str) -> object:
    values = _values(item, tag)
    return values[0] if values else None


def _values(holder: object, tag: str) -> list[object]:
    element = _element(holder, tag)
    values = element.get("Value") if element is not None else None
    return values if isinstance(values, list) else []


def _element(holder: object, tag: str) -> dict[str, object] | None:
    element = holder.get(tag) if isinstance(holder, dict) else None
    return element if isinstance(element, dict) else None
