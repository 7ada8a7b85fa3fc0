"""What waits for one watcher of the live feed."""

from __future__ import annotations

import asyncio

import pytest

from control.deliveries.changes import DeliveryState
from control.inbox.batch import Sender, read_batch
from control.live.mailbox import Mailbox, Refetch
from control.live.news import MAX_STUDIES, news_of
from control.live.service import FeedLine
from tests.mesh_events import START, batch, changed, received


def line(sequence: int) -> FeedLine:
    return FeedLine(sequence=sequence, at=START, kind="study_changed", body={})


async def told(mailbox: Mailbox) -> int | Refetch:
    async with asyncio.timeout(5):
        news = await mailbox.get()
    return news if isinstance(news, Refetch) else news.sequence


async def test_lines_come_in_order() -> None:
    mailbox = Mailbox()
    for sequence in (1, 2, 3):
        mailbox.put(line(sequence))
    assert [await told(mailbox) for _ in range(3)] == [1, 2, 3]


async def test_a_mailbox_that_overflows_asks_for_a_fresh_look_and_goes_on() -> None:
    mailbox = Mailbox(capacity=2)
    for sequence in (1, 2, 3, 4):
        mailbox.put(line(sequence))
    assert await told(mailbox) == Refetch(sequence=4)
    mailbox.put(line(5))
    assert await told(mailbox) == 5


async def test_an_empty_mailbox_waits() -> None:
    mailbox = Mailbox()
    mailbox.put(line(1))
    await told(mailbox)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(mailbox.get(), 0.02)


def test_news_count_what_people_watch_for_and_nothing_of_patients() -> None:
    events = [received(1), received(2), changed(3, 1, "sending"), changed(4, 1, "delivered"), changed(5, 2, "parked")]
    read = read_batch(Sender(node_id="n1", site="north"), batch(events))
    (news,) = news_of(site="north", node_id="n1", events=read.events)
    assert news.body == {
        "site": "north", "node_id": "n1", "study_instance_uid": "1.2.3", "received": 2, "delivered": 1, "parked": 1
    }  # fmt: skip


def test_a_batch_that_touches_too_many_studies_is_one_number() -> None:
    events = [received(n, study=f"1.{n}") for n in range(1, MAX_STUDIES + 2)]
    read = read_batch(Sender(node_id="n1", site="north"), batch(events))
    (news,) = news_of(site="north", node_id="n1", events=read.events)
    assert (news.kind, news.body["studies"]) == ("many_studies_changed", MAX_STUDIES + 1)


def test_what_is_only_due_or_being_sent_is_no_news() -> None:
    events = [changed(n, 1, state) for n, state in enumerate([DeliveryState.DUE, DeliveryState.SENDING], start=1)]
    read = read_batch(Sender(node_id="n1", site="north"), batch(events))
    assert news_of(site="north", node_id="n1", events=read.events) == []
