"""The account of a day: every object that was received stands in it, and its sums are what happened."""

from __future__ import annotations

from datetime import timedelta

import pytest

from control.audit.service import AuditService
from control.clock import utcnow
from control.db.session import Database
from control.errors import InvalidQuery, UnknownSite
from control.fleet.heard import AgeService
from control.inbox.batch import Sender
from control.inbox.service import InboxService
from control.reconciliation.account import Account
from control.reconciliation.service import ReconciliationService
from control.sites.service import SiteService
from tests.mesh_events import START, batch, changed, received

NORTH, SOUTH = Sender(node_id="n1", site="north"), Sender(node_id="s1", site="south")
DAY = timedelta(days=1)


@pytest.fixture
async def inbox(database: Database) -> InboxService:
    sites = SiteService(database, AuditService(database, utcnow), utcnow)
    for name in ("north", "south"):
        await sites.add(name, actor="test")
    return InboxService(database, utcnow)


async def account(database: Database, site: str = "north", days_later: int = 0) -> Account:
    since = START - timedelta(hours=8) + days_later * DAY
    service = ReconciliationService(database, AgeService(utcnow), utcnow)
    return await service.account(site, since=since, until=since + DAY)


async def test_a_day_on_which_all_was_delivered_says_that_nothing_was_lost(
    database: Database, inbox: InboxService
) -> None:
    events = [received(n, study="1.2.3" if n < 4 else "1.2.4", destinations=["pacs", "vna"]) for n in range(1, 7)]
    done = [
        changed(6 + 2 * n + at, n, "delivered", destination=to, study="1.2.3" if n < 4 else "1.2.4")
        for n in range(1, 7)
        for at, to in enumerate(("pacs", "vna"))
    ]
    await inbox.push(NORTH, batch([*events, *done]))
    found = await account(database)
    assert (found.studies, found.received, found.delivered, found.waiting) == (2, 6, 12, 0)
    assert found.is_settled
    assert found.verdict.startswith("Nothing lost: 6 objects of 2 studies delivered.")
    assert found.open_studies == []


async def test_what_is_open_is_listed_with_what_needs_a_person_first(database: Database, inbox: InboxService) -> None:
    await inbox.push(
        NORTH,
        batch(
            [
                received(1, study="1.1"),
                received(2, study="1.2"),
                received(3, study="1.3", destinations=[]),
                received(4, study="1.4"),
                received(5, study="1.5"),
                changed(6, 2, "parked", study="1.2"),
                changed(7, 4, "delivered", study="1.4"),
                changed(8, 5, "discarded", study="1.5"),
            ]
        ),
    )
    found = await account(database)
    assert [one.study_instance_uid for one in found.open_studies] == ["1.2", "1.3", "1.1"]
    assert (found.received, found.delivered, found.waiting, found.for_a_person, found.unrouted, found.ended) == (
        5, 1, 1, 1, 1, 1,
    )  # fmt: skip
    assert (
        "3 studies open: 1 delivery for a person, 1 delivery on the way, 1 object without a destination."
        in found.verdict
    )


async def test_another_site_and_another_day_are_not_in_it(database: Database, inbox: InboxService) -> None:
    await inbox.push(NORTH, batch([received(1)]))
    await inbox.push(SOUTH, batch([received(1, study="9.9"), received(2, study="9.9")]))
    assert (await account(database)).received == 1
    assert (await account(database, "south")).received == 2
    tomorrow = await account(database, days_later=1)
    assert (tomorrow.studies, tomorrow.verdict) == (0, "Nothing was received.")


async def test_a_study_is_in_the_account_of_the_day_on_which_it_began(database: Database, inbox: InboxService) -> None:
    await inbox.push(NORTH, batch([received(1), received(2, at=START + DAY)]))
    assert (await account(database)).received == 2
    assert (await account(database, days_later=1)).received == 0


async def test_a_site_that_nobody_knows_and_a_time_that_goes_backwards_are_refused(
    database: Database, inbox: InboxService
) -> None:
    with pytest.raises(UnknownSite):
        await account(database, "nowhere")
    with pytest.raises(InvalidQuery):
        await ReconciliationService(database, AgeService(utcnow), utcnow).account("north", since=START, until=START)
