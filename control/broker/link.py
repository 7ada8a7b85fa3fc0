"""The connection to the broker: kept up for ever, missed by nobody when it is down."""

from __future__ import annotations

import asyncio
import random
import secrets
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from itertools import islice
from pathlib import Path

import structlog
from aiomqtt import Client, MqttError, ProtocolVersion

from control.broker.nudges import Place, Presence, nudge_payload, read_presence, unsent
from control.broker.service import NudgeService, PresenceService
from control.db.outage import DATABASE_OUTAGES
from mesh.topics import (
    ALL_PRESENCE,
    QOS_AT_LEAST_ONCE,
    QOS_AT_MOST_ONCE,
    NodePlace,
    commands_topic,
    policy_topic,
    read_presence_topic,
)

log = structlog.get_logger(__name__)

POLL_SECONDS = 1.0
FIRST_WAIT_SECONDS = 1.0
LONGEST_WAIT_SECONDS = 30.0
KEEPALIVE_SECONDS = 30
STEADY_SECONDS = 10.0
"""A connection that held this long was a good one: the next wait is the first one again."""
WAITING_PRESENCES = 10_000
"""The retained fan-in of a large mesh; what does not fit is a hint lost."""
PRESENCES_TOGETHER = 500
"""Written in one transaction."""


def client_tls(*, ca_file: Path, certificate_file: Path, key_file: Path) -> ssl.SSLContext:
    """Mutual TLS with the mesh's own certificates, read anew for each connection because they are renewed."""
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=str(ca_file))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate_file, key_file)
    return context


class _Heard:
    """Words that wait to be written: of each node its newest."""

    def __init__(self) -> None:
        self._words: dict[NodePlace, Presence] = {}
        self._some = asyncio.Event()

    def put(self, place: NodePlace, presence: Presence) -> None:
        if place in self._words or len(self._words) < WAITING_PRESENCES:
            self._words[place] = presence
            self._some.set()

    async def take(self) -> Sequence[tuple[NodePlace, Presence]]:
        """Some of them, once there are any."""
        await self._some.wait()
        taken = list(islice(self._words.items(), PRESENCES_TOGETHER))
        for place, _ in taken:
            del self._words[place]
        if not self._words:
            self._some.clear()
        return taken


class BrokerLink:
    """Publishes the retained nudges and listens to presence."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        tls: Callable[[], ssl.SSLContext] | None,
        nudges: NudgeService,
        presence: PresenceService,
        news: Callable[[], None] = lambda: None,
        first_wait: float = FIRST_WAIT_SECONDS,
    ) -> None:
        """`news` is called after presence changed, so that this process tells its watchers at once."""
        self._host = host
        self._port = port
        self._tls = tls
        self._nudges = nudges
        self._presence = presence
        self._news = news
        self._first_wait = first_wait
        self._connected: bool | None = None

    async def run(self) -> None:
        """Run for ever: connect, serve, wait, again."""
        wait = self._first_wait
        while True:
            try:
                async with self._client() as client:
                    await client.subscribe(ALL_PRESENCE, qos=QOS_AT_MOST_ONCE)
                    self._note(True)
                    connected = time.monotonic()
                    try:
                        await self._serve(client)
                    finally:
                        # One that fails at once is no reason to knock more often.
                        if time.monotonic() - connected >= STEADY_SECONDS:
                            wait = self._first_wait
            except (MqttError, OSError, TimeoutError) as error:
                self._note(False, error)
            except Exception as error:
                # The broker's side road must never end for good, whatever it meets.
                self._note(False, error)
            await asyncio.sleep(random.uniform(wait / 2, wait))  # noqa: S311 - spreads reconnects, hides nothing
            wait = min(wait * 2, LONGEST_WAIT_SECONDS)

    def _client(self) -> Client:
        return Client(
            self._host,
            self._port,
            identifier=f"control-{secrets.token_hex(8)}",
            protocol=ProtocolVersion.V5,
            tls_context=self._tls() if self._tls is not None else None,
            clean_start=True,
            keepalive=KEEPALIVE_SECONDS,
            max_queued_incoming_messages=WAITING_PRESENCES,
        )

    async def _serve(self, client: Client) -> None:
        """Until the connection ends. Both directions end together."""
        heard = _Heard()
        duties = (self._publish(client), self._listen(client, heard), self._keep(heard))
        tasks = [asyncio.create_task(duty) for duty in duties]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _publish(self, client: Client) -> None:
        """On every connection all sites once: a broker without persistence may have forgotten them."""
        sent: dict[str, Place] = {}
        told: Mapping[NodePlace, datetime] = {}
        while True:
            asked = self._nudges.asked()
            for node, at in asked.items():
                if told.get(node) != at:
                    await client.publish(commands_topic(node), b"", qos=QOS_AT_LEAST_ONCE)
            told = asked
            for site, place in unsent(await self._nudges.wanted(), sent):
                await client.publish(policy_topic(site), nudge_payload(place), qos=QOS_AT_LEAST_ONCE, retain=True)
                sent[site] = place
            if await self._presence.settle():
                self._news()
            await asyncio.sleep(POLL_SECONDS)

    async def _listen(self, client: Client, heard: _Heard) -> None:
        async for message in client.messages:
            place = read_presence_topic(message.topic.value)
            presence = read_presence(message.payload)
            if place is not None and presence is not None:
                heard.put(place, presence)

    async def _keep(self, heard: _Heard) -> None:
        """What came while the last words were written is written together: a whole mesh that comes back in seconds."""
        while True:
            said = await heard.take()
            try:
                news = await self._presence.hear_all(said)
            except DATABASE_OUTAGES:
                raise  # connecting again brings every retained word again
            except Exception:
                news = any([await self._keep_one(*one) for one in said])
            if news:
                self._news()

    async def _keep_one(self, place: NodePlace, presence: Presence) -> bool:
        try:
            return await self._presence.hear_all([(place, presence)])
        except DATABASE_OUTAGES:
            raise
        except Exception as error:
            # One message that nobody foresaw must not keep out all others; it may be a retained one.
            log.error("broker.presence_failed", error=type(error).__name__)
            return False

    def _note(self, connected: bool, error: Exception | None = None) -> None:
        """Say once when the broker goes, and once when it comes."""
        if connected == self._connected:
            return
        self._connected = connected
        if connected:
            log.info("broker.connected", host=self._host, port=self._port)
        else:
            log.warning(
                "broker.away",
                host=self._host,
                port=self._port,
                error=type(error).__name__,
                hint="Policies still reach their nodes by long poll; only their latency grows.",
            )
