"""A lease: what a sender holds, what happens when it runs out, and how one that still works keeps it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from edge.buffer import deliveries
from edge.buffer.states import DeliveryEvent
from edge.buffer.store import Buffer
from edge.model import ClaimedDelivery
from tests.edge_samples import routed, take


@pytest.fixture
def overdue(buffer: Buffer, monkeypatch: pytest.MonkeyPatch) -> ClaimedDelivery:
    """A delivery whose lease ran out the moment that it was given."""
    buffer.admit([routed(take(buffer), "pacs")])
    monkeypatch.setattr(deliveries, "LEASE", timedelta(0))
    (claimed,) = buffer.claim("pacs", 10)
    monkeypatch.undo()
    return claimed


def test_a_success_that_comes_after_the_lease_ran_out_ends_the_delivery(
    buffer: Buffer, overdue: ClaimedDelivery
) -> None:
    assert buffer.expire_leases() == 1
    buffer.settle(overdue.delivery_id, DeliveryEvent.ACCEPTED)
    assert buffer.claim("pacs", 10) == []


def test_a_sender_that_renews_keeps_what_it_holds(buffer: Buffer, overdue: ClaimedDelivery) -> None:
    buffer.renew([overdue.delivery_id])
    assert buffer.expire_leases() == 0
    assert buffer.claim("pacs", 10) == []


def test_a_sender_that_renews_too_late_holds_it_again_without_another_try(
    buffer: Buffer, overdue: ClaimedDelivery
) -> None:
    buffer.expire_leases()
    buffer.renew([overdue.delivery_id])
    assert buffer.claim("pacs", 10) == []
    buffer.settle(overdue.delivery_id, DeliveryEvent.GIVEN_BACK)
    (again,) = buffer.claim("pacs", 10)
    assert again.attempts == 1


def test_renewing_does_not_touch_what_has_ended(buffer: Buffer, overdue: ClaimedDelivery) -> None:
    buffer.settle(overdue.delivery_id, DeliveryEvent.REFUSED)
    buffer.renew([overdue.delivery_id])
    assert buffer.counts().deliveries_parked == 1


def test_a_claim_counts_itself_among_the_attempts(buffer: Buffer, overdue: ClaimedDelivery) -> None:
    assert overdue.attempts == 1
    buffer.expire_leases()
    (again,) = buffer.claim("pacs", 10)
    assert again.attempts == 2
