"""The side road of a simulated edge: its presence at the broker, and nudges from it (MQTT 5 over mutual TLS)."""

from __future__ import annotations

import asyncio
import json
import random
import ssl
import tempfile
from contextlib import suppress

from aiomqtt import Client, MqttError, ProtocolVersion, Will

from mesh.topics import QOS_AT_LEAST_ONCE, NodePlace, policy_topic, presence_topic
from provisioning.fleet.box import Box
from provisioning.fleet.identities import Identity
from provisioning.fleet.ledger import Ledger

KEEPALIVE_SECONDS = 60


async def stay_at_the_broker(box: Box, ledger: Ledger, turn: asyncio.Semaphore) -> None:
    """Be present and hear nudges until cancelled; `turn` bounds how many greet the broker at once."""
    identity = box.identity
    host, _, port = identity.mqtt_endpoint.rpartition(":")
    place = NodePlace(site=identity.site, node_id=identity.node_id)
    while True:
        with suppress(MqttError, OSError, TimeoutError):
            await _stay(box, ledger, turn, host, int(port), place)
        ledger.present.discard(identity.node_id)
        await asyncio.sleep(random.uniform(0.5, 3.0))


async def _stay(box: Box, ledger: Ledger, turn: asyncio.Semaphore, host: str, port: int, place: NodePlace) -> None:
    client = Client(
        host,
        port,
        identifier=place.node_id,
        protocol=ProtocolVersion.V5,
        tls_context=tls_context(box.identity),
        keepalive=KEEPALIVE_SECONDS,
        will=Will(presence_topic(place), _presence("offline"), QOS_AT_LEAST_ONCE, retain=True),
    )
    await turn.acquire()
    held = True
    try:
        async with client:
            await client.subscribe(policy_topic(place.site), qos=QOS_AT_LEAST_ONCE)
            await client.publish(presence_topic(place), _presence("online"), qos=QOS_AT_LEAST_ONCE, retain=True)
            ledger.present.add(place.node_id)
            turn.release()
            held = False
            try:
                async for _message in client.messages:
                    box.nudged.set()
            except asyncio.CancelledError:
                # What the broker would say in its name, had the line been cut.
                with suppress(MqttError, TimeoutError):
                    await client.publish(
                        presence_topic(place), _presence("offline"), qos=QOS_AT_LEAST_ONCE, retain=True, timeout=5
                    )
                raise
    finally:
        if held:
            turn.release()


def _presence(state: str) -> str:
    return json.dumps({"state": state, "boot_id": "fleet"})


def tls_context(identity: Identity) -> ssl.SSLContext:
    """Mutual TLS with an edge's certificate; the key is in a file for a moment only, because OpenSSL wants one."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(cadata=identity.ca_pem)
    with tempfile.NamedTemporaryFile("w", encoding="ascii", suffix=".pem") as file:
        file.write(identity.certificate_pem + identity.key_pem)
        file.flush()
        context.load_cert_chain(file.name)
    return context
