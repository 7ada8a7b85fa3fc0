"""Nudges and presence over a real Mosquitto with mutual TLS; and its absence, which nobody misses."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from aiomqtt import Client, ProtocolVersion
from cryptography.hazmat.primitives.asymmetric import ec
from structlog.testing import capture_logs

from control.broker.link import BrokerLink, client_tls
from control.broker.models import NodePresence
from control.broker.service import NudgeService, PresenceService
from control.clock import utcnow
from control.db.session import Database
from control.enrolment import ca_files
from control.enrolment.ca import Authority
from control.enrolment.own_certificates import OwnCertificates, issue_own, issue_server
from control.fleet.heard import AgeService
from control.live.service import FeedService
from control.node_commands.board import CommandBoard
from control.nodes.models import Node
from control.policies.board import PolicyBoard
from control.sites.models import Site
from control.sites.service import SiteService
from mesh.topics import NodePlace, policy_topic, presence_topic
from provisioning.local.program import find_program
from tests.real_programs import require

ACCESS = Path(__file__).parents[3] / "provisioning" / "broker.acl"
"""The mesh's own rules: the control plane writes nudges only, a node its own presence only."""

CONFIGURATION = """
listener {port} 127.0.0.1
cafile {folder}/tls/ca.pem
certfile {folder}/broker/broker.pem
keyfile {folder}/broker/broker-key.pem
require_certificate true
use_identity_as_username true
acl_file {folder}/broker/acl
persistence false
max_queued_messages 0
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerPlace:
    """Where a broker is, with everything that it and its clients need. It does not run by itself."""

    folder: Path
    port: int
    authority: Authority
    own: OwnCertificates

    @contextmanager
    def running(self) -> Iterator[None]:
        """Mosquitto as a mesh has it. It forgets everything when it stops."""
        require("mosquitto")
        program = find_program("mosquitto", package="mosquitto")
        running = subprocess.Popen(
            [program, "-c", str(self.folder / "mosquitto.conf")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            yield
        finally:
            running.terminate()
            running.wait(10)

    def link_tls(self) -> ssl.SSLContext:
        """What the control plane itself shows."""
        client = self.own.client
        return client_tls(ca_file=self.own.ca_file, certificate_file=client.certificate_file, key_file=client.key_file)

    @asynccontextmanager
    async def client(self, name: str) -> AsyncIterator[Client]:
        """A client of the mesh with this name in its certificate, as soon as the broker takes it."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate, key_file = self.folder / f"{name}.pem", self.folder / f"{name}-key.pem"
        certificate.write_bytes(self.authority.sign_service(key.public_key(), name, utcnow()).pem)
        key_file.write_bytes(ca_files.private_pem(key))
        context = client_tls(ca_file=self.own.ca_file, certificate_file=certificate, key_file=key_file)
        async with asyncio.timeout(15):
            while not _listens(self.port):  # noqa: ASYNC110 - another process does it
                await asyncio.sleep(0.05)
        async with Client("127.0.0.1", self.port, protocol=ProtocolVersion.V5, tls_context=context) as client:
            yield client


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def place(tmp_path: Path) -> BrokerPlace:
    """A broker that can be started, of a mesh of its own."""
    keys = ca_files.load_or_create(tmp_path / "ca", None, utcnow())
    (tmp_path / "broker").mkdir()
    issue_server(tmp_path / "broker", "broker", keys.authority, ("127.0.0.1",), utcnow())
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    access = tmp_path / "broker" / "acl"
    access.write_text(ACCESS.read_text())
    access.chmod(0o600)
    running_as = "user root\n" if os.getuid() == 0 else ""
    (tmp_path / "mosquitto.conf").write_text(CONFIGURATION.format(port=port, folder=tmp_path) + running_as)
    own = issue_own(tmp_path / "tls", keys.authority, "127.0.0.1", utcnow())
    return BrokerPlace(folder=tmp_path, port=port, authority=keys.authority, own=own)


@asynccontextmanager
async def linked(link: BrokerLink) -> AsyncIterator[None]:
    task = asyncio.create_task(link.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


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


def link_of(database: Database, board: PolicyBoard, place: BrokerPlace) -> BrokerLink:
    sites = SiteService(database, None, utcnow)  # type: ignore[arg-type]
    return BrokerLink(
        "127.0.0.1",
        place.port,
        tls=place.link_tls,
        nudges=NudgeService(database, sites, board, CommandBoard()),
        presence=PresenceService(database, AgeService(utcnow), utcnow),
        first_wait=0.2,
    )


async def test_a_published_policy_is_nudged_and_retained(mesh: Database, place: BrokerPlace) -> None:
    board = PolicyBoard()
    board.post({1: (1, 4)})
    with place.running():
        async with linked(link_of(mesh, board, place)):
            async with place.client("n1") as node:
                assert await told(node, policy_topic("north")) == {"generation": 1, "version": 4}
                board.post({1: (2, 3)})
                assert await told(node, policy_topic("north")) in (
                    {"generation": 1, "version": 4},  # the retained one comes again with the subscription
                    {"generation": 2, "version": 3},
                )
            await asyncio.sleep(1.5)
            async with place.client("n2") as late:
                assert await told(late, policy_topic("north")) == {"generation": 2, "version": 3}


async def test_presence_of_enrolled_nodes_is_kept_and_odd_words_are_not(mesh: Database, place: BrokerPlace) -> None:
    with place.running():
        async with linked(link_of(mesh, PolicyBoard(), place)), place.client("n1") as node:
            box = presence_topic(NodePlace(site="north", node_id="n1"))
            stranger = presence_topic(NodePlace(site="north", node_id="stranger"))
            async with place.client("stranger") as unknown:
                await unknown.publish(stranger, b'{"state": "online", "boot_id": "b9"}', qos=1, retain=True)
            await node.publish(box, b'{"state": ["online"]}', qos=1)
            for state in ("online", "offline"):
                await node.publish(box, json.dumps({"state": state, "boot_id": "b1"}).encode(), qos=1, retain=True)
                async with asyncio.timeout(15):
                    while await presences(mesh) != {"n1": state}:  # noqa: ASYNC110 - another task writes it
                        await asyncio.sleep(0.05)
    lines = (await FeedService(mesh, utcnow).read_after(0)).lines
    assert [line.body["state"] for line in lines if line.kind == "node_presence"] == ["online", "offline"]


async def test_a_broker_that_goes_and_comes_is_noted_once_each_and_told_everything_again(
    mesh: Database, place: BrokerPlace
) -> None:
    board = PolicyBoard()
    board.post({1: (1, 1)})
    with capture_logs() as logs:
        async with linked(link_of(mesh, board, place)):
            await asyncio.sleep(1.5)  # several tries without a broker
            with place.running():
                async with place.client("n1") as node:
                    assert await told(node, policy_topic("north")) == {"generation": 1, "version": 1}
            await asyncio.sleep(0.5)
            with place.running():  # without persistence: it has forgotten everything
                async with place.client("n1") as node:
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
