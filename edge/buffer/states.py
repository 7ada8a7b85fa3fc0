"""The states of a delivery and the only ways between them (pure).

Accepted is not delivered: a delivery exists because the edge took custody; it is `delivered` only when the
destination answered success for that very instance and, where the policy asks for it, said that it holds it.
"""

from __future__ import annotations

from enum import StrEnum

from edge.errors import IllegalTransition


class DeliveryState(StrEnum):
    """Where one instance stands on its way to one destination."""

    GATHERING = "gathering"
    DUE = "due"
    SENDING = "sending"
    VERIFYING = "verifying"
    RETRY_WAIT = "retry_wait"
    DELIVERED = "delivered"
    PARKED = "parked"
    QUARANTINED = "quarantined"
    HELD = "held"
    DISCARDED = "discarded"
    SUPERSEDED = "superseded"


class DeliveryEvent(StrEnum):
    """What can happen to a delivery."""

    GATHERED = "gathered"
    CLAIMED = "claimed"
    ACCEPTED = "accepted"
    UNPROVEN = "unproven"
    VERIFIED = "verified"
    MISSING = "missing"
    NEVER_FOUND = "never_found"
    FAILED_TRANSIENTLY = "failed_transiently"
    REFUSED = "refused"
    UNFIT = "unfit"
    GIVEN_BACK = "given_back"
    LEASE_EXPIRED = "lease_expired"
    BACKOFF_ELAPSED = "backoff_elapsed"
    RELEASED_BY_OPERATOR = "released_by_operator"
    HELD_BY_OPERATOR = "held_by_operator"
    DISCARDED_BY_OPERATOR = "discarded_by_operator"
    SENT_HERE_BY_OPERATOR = "sent_here_by_operator"
    REPLACED = "replaced"


_S, _E = DeliveryState, DeliveryEvent

TRANSITIONS: dict[tuple[DeliveryState, DeliveryEvent], DeliveryState] = {
    (_S.GATHERING, _E.GATHERED): _S.DUE,  # its series or study is complete, or as complete as it will be
    (_S.DUE, _E.CLAIMED): _S.SENDING,
    (_S.SENDING, _E.ACCEPTED): _S.DELIVERED,
    (_S.DUE, _E.ACCEPTED): _S.DELIVERED,  # its lease ran out while it was being sent; the success is no less real
    # Where the policy asks for it, the destination is asked afterwards whether it holds what it acknowledged.
    (_S.SENDING, _E.UNPROVEN): _S.VERIFYING,
    (_S.DUE, _E.UNPROVEN): _S.VERIFYING,  # its lease ran out while it was being sent
    (_S.VERIFYING, _E.VERIFIED): _S.DELIVERED,
    (_S.VERIFYING, _E.MISSING): _S.RETRY_WAIT,  # it does not hold it, so it gets it again
    (_S.VERIFYING, _E.NEVER_FOUND): _S.PARKED,  # again and again, or it cannot be asked: a person decides
    (_S.SENDING, _E.FAILED_TRANSIENTLY): _S.RETRY_WAIT,
    (_S.SENDING, _E.REFUSED): _S.PARKED,  # a person decides; nothing clinical expires
    (_S.SENDING, _E.UNFIT): _S.QUARANTINED,  # the object itself stands in the way, not the destination
    (_S.SENDING, _E.GIVEN_BACK): _S.DUE,  # the destination was down before this instance was tried
    (_S.SENDING, _E.LEASE_EXPIRED): _S.DUE,  # the sender died; sending twice is allowed, losing is not
    (_S.RETRY_WAIT, _E.BACKOFF_ELAPSED): _S.DUE,
    (_S.RETRY_WAIT, _E.RELEASED_BY_OPERATOR): _S.DUE,
    (_S.PARKED, _E.RELEASED_BY_OPERATOR): _S.DUE,
    (_S.QUARANTINED, _E.RELEASED_BY_OPERATOR): _S.DUE,
    (_S.HELD, _E.RELEASED_BY_OPERATOR): _S.DUE,
    (_S.GATHERING, _E.RELEASED_BY_OPERATOR): _S.DUE,  # a person does not wait for the rest
    # A person holds it back, or ends it with a reason. What is being sent is not torn off.
    (_S.GATHERING, _E.HELD_BY_OPERATOR): _S.HELD,
    (_S.DUE, _E.HELD_BY_OPERATOR): _S.HELD,
    (_S.RETRY_WAIT, _E.HELD_BY_OPERATOR): _S.HELD,
    (_S.PARKED, _E.HELD_BY_OPERATOR): _S.HELD,
    (_S.HELD, _E.ACCEPTED): _S.DELIVERED,  # its lease had run out; the success is no less real
    (_S.GATHERING, _E.DISCARDED_BY_OPERATOR): _S.DISCARDED,
    (_S.DUE, _E.DISCARDED_BY_OPERATOR): _S.DISCARDED,
    (_S.RETRY_WAIT, _E.DISCARDED_BY_OPERATOR): _S.DISCARDED,
    (_S.PARKED, _E.DISCARDED_BY_OPERATOR): _S.DISCARDED,
    (_S.QUARANTINED, _E.DISCARDED_BY_OPERATOR): _S.DISCARDED,
    (_S.HELD, _E.DISCARDED_BY_OPERATOR): _S.DISCARDED,
    (_S.VERIFYING, _E.DISCARDED_BY_OPERATOR): _S.DISCARDED,
    (_S.DISCARDED, _E.ACCEPTED): _S.DELIVERED,
    (_S.DISCARDED, _E.SENT_HERE_BY_OPERATOR): _S.DUE,  # instead of elsewhere: sent away and back again, it is not lost
    # A newer object of the same UID takes its place, because the policy says so. What is being sent is not torn off.
    (_S.DUE, _E.REPLACED): _S.SUPERSEDED,
    (_S.RETRY_WAIT, _E.REPLACED): _S.SUPERSEDED,
    (_S.PARKED, _E.REPLACED): _S.SUPERSEDED,
    (_S.GATHERING, _E.REPLACED): _S.SUPERSEDED,
    (_S.QUARANTINED, _E.REPLACED): _S.SUPERSEDED,
    (_S.HELD, _E.REPLACED): _S.SUPERSEDED,
    (_S.SUPERSEDED, _E.ACCEPTED): _S.DELIVERED,  # it was being sent after all; the success is no less real
}

UNFINISHED = frozenset(_S) - {_S.DELIVERED, _S.SUPERSEDED, _S.DISCARDED}
"""States that keep an instance in the spool, whatever its age."""


def after(state: DeliveryState, event: DeliveryEvent) -> DeliveryState:
    """The state that follows.

    Raises:
        IllegalTransition: this event cannot happen in this state.
    """
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise IllegalTransition(f"a delivery that is {state} cannot be {event}") from None


def sources(event: DeliveryEvent) -> tuple[DeliveryState, ...]:
    """The states in which this event can happen: what an UPDATE's WHERE clause names."""
    return tuple(state for state, possible in TRANSITIONS if possible is event)


def target(event: DeliveryEvent) -> DeliveryState:
    """The state that this event leads to, which is the same from every state that allows it."""
    (only,) = {result for (_state, possible), result in TRANSITIONS.items() if possible is event}
    return only
