"""Nudges and presence over a real Mosquitto with mutual TLS; and its absence, which nobody misses."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from aiomqtt import Client, ProtocolVersion
from structlog.testing import capture_logs

from control.broker.link import BrokerLink, client_tls
from control.broker.models import NodePresence
from control.broker.service import NudgeService, PresenceService
from control.clock import utcnow
from control.db.session import Database
from control.enrolment import ca_files
from control.enrolment.own_certificates import OwnCertificates, issue_own, issue_server
from control.fleet.heard import AgeService
from control.live.service import FeedService
from control.nodes.models import Node
from control.policies.board import PolicyBoard
from control.sites.models import Site
from control.sites.service import SiteService
from mesh.topics import NodePlace, policy_topic, presence_topic

MOSQUITTO = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


@pytest.fixture
def own(tmp_path: Path) -> OwnCertificates:
    """The control plane's certificates and the broker's, of one mesh."""
    keys = ca_files.load_or_create(tmp_path / "ca", None, utcnow())
    (tmp_path / "broker").mkdir()
    issue_server(tmp_path / "broker", "broker", keys.authority, ("127.0.0.1",), utcnow())
    return issue_own(tmp_path / "tls", keys.authority, "127.0.0.1", utcnow())


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
        return number


@contextmanager
def broker(folder: Path, own: OwnCertificates, port: int) -> Iterator[None]:
    """Mosquitto that takes only clients of the mesh."""
    if MOSQUITTO is None:
        if os.environ.get("SKERRY_REQUIRE_ALL"):
            pytest.fail("mosquitto is not installed")
        pytest.skip("mosquitto is not installed")
    config = folder / "mosquitto.conf"
    config.write_text(
        f"listener {port} 127.0.0.1\ncafile {own.ca_file}\ncertfile {folder}/broker/broker.pem\n"
        f"keyfile {folder}/broker/broker-key.pem\nrequire_certificate true\nuse_identity_as_username true\n"
        "max_queued_messages 0\nuser root\n"
    )
    running = subprocess.Popen([MOSQUITTO, "-c", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        running.terminate()
        running.wait(10)


@asynccontextmanager
async def linked(link: BrokerLink) -> AsyncIterator[None]:
    task = asyncio.create_task(link.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def somebody(own: OwnCertificates, port: int) -> AsyncIterator[Client]:
    """Another client of the mesh, as soon as the broker takes it."""
    context = client_tls(
        ca_file=own.ca_file, certificate_file=own.client.certificate_file, key_file=own.client.key_file
    )
    async with asyncio.timeout(15):
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            await asyncio.sleep(0.05)
    async with Client("127.0.0.1", port, protocol=ProtocolVersion.V5, tls_context=context) as client:
        yield client


async def told(client: Client, topic: str) -> dict[str, int]:
    """The next message on a topic."""
    await client.subscribe(topic, qos=1)
    async with asyncio.timeout(15):
        async for message in client.messages:
            assert isinstance(message.payload, bytes)
            content: dict[str, int] = json.loads(message.payload)
            return content
    raise AssertionError("the connection ended")


@pytest.fixture
async def mesh(database: Database) -> Database:
    """One site with one node."""
    now = utcnow()
    async with database.transaction() as session:
        session.add(Site(id=1, name="north", created_at=now))
        await session.flush()
        session.add(
            Node(id="n1", site_id=1, name="box", key_fingerprint="", enrolled_at=now,
                 certificate_ends=now + timedelta(days=1))
        )  # fmt: skip
    return database


def link_of(database: Database, board: PolicyBoard, own: OwnCertificates, port: int) -> BrokerLink:
    sites = SiteService(database, None, utcnow)  # type: ignore[arg-type]
    return BrokerLink(
        "127.0.0.1",
        port,
        tls=lambda: client_tls(
            ca_file=own.ca_file, certificate_file=own.client.certificate_file, key_file=own.client.key_file
        ),
        nudges=NudgeService(database, sites, board),
        presence=PresenceService(database, AgeService(utcnow), utcnow),
        first_wait=0.2,
    )


async def test_a_published_policy_is_nudged_and_retained(
    mesh: Database, own: OwnCertificates, port: int, tmp_path: Path
) -> None:
    board = PolicyBoard()
    board.post({1: (1, 4)})
    with broker(tmp_path, own, port):
        async with linked(link_of(mesh, board, own, port)):
            async with somebody(own, port) as node:
                assert await told(node, policy_topic("north")) == {"generation": 1, "version": 4}
                board.post({1: (2, 3)})
                assert await told(node, policy_topic("north")) in (
                    {"generation": 1, "version": 4},  # the retained one comes again with the subscription
                    {"generation": 2, "version": 3},
                )
            await asyncio.sleep(1.5)
            async with somebody(own, port) as late:
                assert await told(late, policy_topic("north")) == {"generation": 2, "version": 3}


async def test_presence_of_enrolled_nodes_is_kept_and_odd_words_are_not(
    mesh: Database, own: OwnCertificates, port: int, tmp_path: Path
) -> None:
    with broker(tmp_path, own, port):
        async with linked(link_of(mesh, PolicyBoard(), own, port)), somebody(own, port) as node:
            box = presence_topic(NodePlace(site="north", node_id="n1"))
            stranger = presence_topic(NodePlace(site="north", node_id="stranger"))
            await node.publish(stranger, b'{"state": "online", "boot_id": "b9"}', qos=1, retain=True)
            await node.publish(box, b'{"state": ["online"]}', qos=1)
            for state in ("online", "offline"):
                await node.publish(box, json.dumps({"state": state, "boot_id": "b1"}).encode(), qos=1, retain=True)
                async with asyncio.timeout(15):
                    while await presences(mesh) != {"n1": state}:  # noqa: ASYNC110 - another task writes it
                        await asyncio.sleep(0.05)
    lines = (await FeedService(mesh, utcnow).read_after(0)).lines
    assert [line.body["state"] for line in lines if line.kind == "node_presence"] == ["online", "offline"]


async def test_a_broker_that_goes_and_comes_is_noted_once_each_and_told_everything_again(
    mesh: Database, own: OwnCertificates, port: int, tmp_path: Path
) -> None:
    board = PolicyBoard()
    board.post({1: (1, 1)})
    with capture_logs() as logs:
        async with linked(link_of(mesh, board, own, port)):
            await asyncio.sleep(1.5)  # several tries without a broker
            with broker(tmp_path, own, port):
                async with somebody(own, port) as node:
                    assert await told(node, policy_topic("north")) == {"generation": 1, "version": 1}
            await asyncio.sleep(0.5)
            with broker(tmp_path, own, port):  # without persistence: it has forgotten everything
                async with somebody(own, port) as node:
                    assert await told(node, policy_topic("north")) == {"generation": 1, "version": 1}
    words = [entry["event"] for entry in logs if entry["event"].startswith("broker.")]
    assert words[:4] == ["broker.away", "broker.connected", "broker.away", "broker.connected"]
    assert len(words) <= 5


async def presences(database: Database) -> dict[str, str]:
    async with database.snapshot() as session:
        found = await session.get(NodePresence, "n1")
        stranger = await session.get(NodePresence, "stranger")
    assert stranger is None
    return {"n1": found.state} if found is not None else {}
