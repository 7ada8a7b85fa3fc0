"""What the broker says of a node counts only for that node, and no message of it stops the others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, Self

import pytest

from control.broker.link import BrokerLink
from control.broker.models import NodePresence
from control.broker.nudges import Presence
from control.broker.service import WRITE_STEP_SECONDS, NudgeService, PresenceService
from control.clock import utcnow
from control.db.session import Database
from control.fleet.heard import AgeService
from control.node_commands.board import CommandBoard
from control.nodes.models import Node
from control.policies.board import PolicyBoard
from control.sites.models import Site
from control.sites.service import SiteService
from mesh.topics import NodePlace, presence_topic

BOX = NodePlace(site="north", node_id="n1")
ONLINE, OFFLINE = (Presence(state=state, boot_id="b1") for state in ("online", "offline"))


class Seconds:
    """Time that passes when it is told to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def mesh(database: Database) -> Database:
    """A node and one that was revoked."""
    now = utcnow()
    async with database.transaction() as tx:
        tx.add(Site(id=1, name="north", created_at=now))
        await tx.flush()
        for node_id, revoked_at in (("n1", None), ("gone", now)):
            tx.add(
                Node(id=node_id, site_id=1, name=node_id, key_fingerprint="", enrolled_at=now,
                     certificate_ends=now + timedelta(days=1), revoked_at=revoked_at)
            )  # fmt: skip
    return database


async def stored(database: Database, node_id: str = "n1") -> str | None:
    async with database.snapshot() as session:
        row = await session.get(NodePresence, node_id)
    return row.state if row is not None else None


@pytest.mark.parametrize(
    ("site", "node_id"), [("south", "n1"), ("x" * 80, "n1"), ("nor\0th", "n1"), ("north", "n\0"), ("north", "x" * 999)]
)
async def test_a_word_under_a_name_that_is_not_the_nodes_own_is_not_kept(
    mesh: Database, site: str, node_id: str
) -> None:
    service = PresenceService(mesh, AgeService(utcnow), utcnow)
    assert not await service.hear(NodePlace(site=site, node_id=node_id), ONLINE)
    assert await stored(mesh) is None


async def test_a_revoked_node_has_no_presence(mesh: Database) -> None:
    service = PresenceService(mesh, AgeService(utcnow), utcnow)
    assert not await service.hear(NodePlace(site="north", node_id="gone"), ONLINE)
    assert await stored(mesh, "gone") is None


async def test_a_node_that_changes_its_word_is_written_every_few_seconds_and_its_last_word_stands(
    mesh: Database,
) -> None:
    seconds = Seconds()
    service = PresenceService(mesh, AgeService(utcnow), utcnow, seconds)
    assert await service.hear(BOX, ONLINE)
    for presence in (OFFLINE, ONLINE, OFFLINE):
        assert not await service.hear(BOX, presence)
    assert not await service.settle()
    assert await stored(mesh) == "online"
    seconds.now = WRITE_STEP_SECONDS
    assert await service.settle()
    assert await stored(mesh) == "offline"
    assert not await service.settle()


async def test_a_word_that_comes_while_an_older_one_is_written_is_the_one_that_stands(mesh: Database) -> None:
    seconds = Seconds()
    service = PresenceService(mesh, AgeService(utcnow), utcnow, seconds)
    assert await service.hear(BOX, ONLINE)
    assert not await service.hear(BOX, OFFLINE)
    seconds.now = WRITE_STEP_SECONDS
    settling = asyncio.create_task(service.settle())
    await asyncio.sleep(0)  # it has begun
    await service.hear(BOX, ONLINE)
    await settling
    seconds.now = 3 * WRITE_STEP_SECONDS
    await service.settle()
    assert await stored(mesh) == "online"


class OddBroker:
    """A broker that says a strange thing first, then a good one, and then nothing."""

    connections = 0

    async def __aenter__(self) -> Self:
        type(self).connections += 1
        return self

    async def __aexit__(self, *_: object) -> None:
        """Nothing to let go."""

    async def subscribe(self, *_: object, **__: object) -> None:
        """Always granted."""

    @property
    async def messages(self) -> AsyncIterator[Any]:
        for site in ("odd", "north"):
            topic = presence_topic(NodePlace(site=site, node_id="n1"))
            yield SimpleNamespace(topic=SimpleNamespace(value=topic), payload=b'{"state": "online", "boot_id": "b1"}')
        await asyncio.Event().wait()


class Fragile(PresenceService):
    """Meets something that nobody foresaw."""

    async def hear_all(self, said: Iterable[tuple[NodePlace, Presence]]) -> bool:
        """Fail for one site, and for whoever is written together with it."""
        words = list(said)
        if any(place.site == "odd" for place, _ in words):
            raise ValueError
        return await super().hear_all(words)


async def test_one_message_that_nobody_foresaw_does_not_end_the_connection(
    mesh: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    sites = SiteService(mesh, None, utcnow)  # type: ignore[arg-type]
    link = BrokerLink(
        "broker.example",
        1,
        tls=None,
        nudges=NudgeService(mesh, sites, PolicyBoard(), CommandBoard()),
        presence=Fragile(mesh, AgeService(utcnow), utcnow),
        first_wait=0.02,
    )
    monkeypatch.setattr(OddBroker, "connections", 0)
    monkeypatch.setattr(link, "_client", OddBroker)
    running = asyncio.create_task(link.run())
    async with asyncio.timeout(10):
        while await stored(mesh) != "online":  # noqa: ASYNC110 - another task writes it
            await asyncio.sleep(0.05)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert OddBroker.connections == 1
