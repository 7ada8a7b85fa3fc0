"""What a C-STORE status means for a delivery (pure): PS3.4 Table B.2-1 and PS3.7 Annex C."""

from __future__ import annotations

from edge.forward.base import Accepted, Outcome, Refused, TryLater

_MEANINGS = {
    0x0110: "processing failure",
    0x0117: "invalid SOP Instance UID",
    0x0122: "SOP class not supported",
    0x0124: "not authorised",
    0x0211: "operation not recognised",
    0x0212: "mistyped argument",
}
_PERMANENT = frozenset({0x0117, 0x0122, 0x0124, 0x0211, 0x0212})


def outcome_of(status: int, *, attempts: int = 1) -> Outcome:
    """Success and warnings deliver; out of resources waits; what will never fit is for a person.

    `attempts` counts this one: a duplicate is our own earlier try only when there was one.
    """
    if status == 0x0000:
        return Accepted()
    if status & 0xF000 == 0xB000 or status in (0x0001, 0x0107, 0x0116):
        return Accepted(status=status, note=f"taken with warning 0x{status:04X}")
    if status == 0x0111:
        return _duplicate(attempts)
    if status in _PERMANENT:
        return Refused(reason=f"the destination answered 0x{status:04X}: {_MEANINGS[status]}", status=status)
    if status & 0xFF00 == 0xA900:
        return Refused(
            reason=f"the destination answered 0x{status:04X}: data set does not match the SOP class", status=status
        )
    if status & 0xF000 == 0xC000:
        return Refused(
            reason=f"the destination answered 0x{status:04X}: it cannot understand the data set", status=status
        )
    if status & 0xFF00 == 0xA700:
        return TryLater(reason=f"the destination answered 0x{status:04X}: out of resources", status=status)
    meaning = _MEANINGS.get(status, "no known meaning")
    return TryLater(reason=f"the destination answered 0x{status:04X}: {meaning}", status=status)


def _duplicate(attempts: int) -> Outcome:
    """PS3.7 Annex C.5.7. The answer does not say which object the peer holds, so a first try proves nothing."""
    if attempts > 1:
        return Accepted(status=0x0111, note="already there, from an earlier try")
    return Refused(
        reason="the destination answered 0x0111 to the first try: it holds an object under this UID that is not from "
        "this delivery; compare the two before a requeue, which takes that answer for success",
        status=0x0111,
    )
