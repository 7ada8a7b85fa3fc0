"""MQTT 5: presence for the centre, and a nudge from it. Losing the broker costs latency only.

The nudge has no content that is acted on: it wakes the policy duty, and what is true comes over gRPC, signed.
"""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Callable
from typing import Any

import paho.mqtt.client as mqtt
import structlog
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edge.sync import conditions
from edge.sync.conditions import LinkHealth
from edge.sync.endpoint import Endpoint, EndpointMalformed
from edge.sync.identity import NodeIdentity
from edge.sync.tls import client_context
from mesh.topics import QOS_AT_LEAST_ONCE, NodePlace, commands_topic, policy_topic, presence_topic

log = structlog.get_logger(__name__)

SESSION_EXPIRY_SECONDS = 3600
"""A will whose delay is longer than its session is published at the session's end: it must outlast the delay."""
WILL_DELAY_SECONDS = 30
KEEPALIVE_SECONDS = 30
GOODBYE_SECONDS = 2.0
CLONE_MEMORY_SECONDS = 600.0
SHORT_CONNECTION_SECONDS = 10.0
SHORT_CONNECTIONS = 5
"""So many short connections in a row are not a bad network any more."""
_SESSION_TAKEN_OVER = 0x8E  # MQTT 5.0, 3.14.2.1
_BROKER = "broker"


class TakeoverWatch:
    """Tells another box with this node's name from a bad network. Pure but for its memory.

    A broker may say it (reason 0x8E); Mosquitto 2.0 only closes, so short connections in a row count too.
    """

    def __init__(self) -> None:
        self._began: float | None = None
        self._short = 0
        self._suspected_at: float | None = None

    def connected(self, now: float) -> None:
        """The broker took the connection."""
        self._began = now

    def disconnected(self, now: float, *, told: bool) -> bool:
        """The connection ended; say whether another box is the likely reason."""
        if self._began is None:
            return False
        self._short = self._short + 1 if now - self._began < SHORT_CONNECTION_SECONDS else 0
        self._began = None
        if told or self._short >= SHORT_CONNECTIONS:
            self._suspected_at = now
            return True
        return False

    def is_over(self, now: float) -> bool:
        """Whether nothing of the kind happened for a while."""
        return self._suspected_at is None or now - self._suspected_at > CLONE_MEMORY_SECONDS


class MqttNudge:
    """Presence and nudges of one node. Start and stop return soon, whatever the broker does."""

    def __init__(
        self,
        *,
        identity: NodeIdentity,
        boot_id: str,
        health: LinkHealth,
        on_nudge: Callable[[], None],
        on_commands: Callable[[], None] = lambda: None,
        will_delay_seconds: int = WILL_DELAY_SECONDS,
    ) -> None:
        self._boot_id = boot_id
        self._health = health
        self._on_nudge, self._on_commands = on_nudge, on_commands
        self._will_delay = will_delay_seconds
        self._place = NodePlace(site=identity.site, node_id=identity.node_id)
        self._identity = identity
        self._client: mqtt.Client | None = None
        self._threads: list[threading.Thread] = []
        self._stopped = threading.Event()
        # paho deadlocks when a callback publishes while another thread does: callbacks only set this.
        self._work = threading.Event()
        self._connected = threading.Event()
        self._takeover = TakeoverWatch()

    def start(self) -> None:
        """Begin to connect, and keep trying. Does not wait for the broker."""
        try:
            endpoint = Endpoint.read(self._identity.mqtt_endpoint)
            client = self._new_client(endpoint)
        except (EndpointMalformed, ssl.SSLError, OSError, ValueError) as error:
            self._health.hold(conditions.BROKER_UNREACHABLE.saying(f"The MQTT broker cannot be used: {error}."))
            return
        self._client = client
        self._threads = [
            threading.Thread(target=self._network, args=(client,), name="link-mqtt", daemon=True),
            threading.Thread(target=self._greet, args=(client,), name="link-mqtt-presence", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Say goodbye when there is a connection, and end within a few seconds."""
        self._stopped.set()
        self._work.set()
        client = self._client
        if client is None:
            return
        if self._connected.is_set():
            farewell = client.publish(
                presence_topic(self._place), self._presence("offline"), qos=QOS_AT_LEAST_ONCE, retain=True
            )
            try:
                farewell.wait_for_publish(GOODBYE_SECONDS)
            except (RuntimeError, ValueError) as error:
                log.info("mqtt.no_goodbye", error=str(error))
        client.disconnect()
        for thread in self._threads:
            thread.join(GOODBYE_SECONDS)
        self._health.clear(conditions.BROKER_UNREACHABLE.code)

    def _new_client(self, endpoint: Endpoint) -> mqtt.Client:
        client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=self._identity.node_id, protocol=mqtt.MQTTv5)
        client.tls_set_context(client_context(self._identity))
        client.connect_timeout = 5.0
        client.reconnect_delay_set(min_delay=1, max_delay=60)
        will = Properties(PacketTypes.WILLMESSAGE)  # type: ignore[no-untyped-call]
        will.WillDelayInterval = self._will_delay
        client.will_set(
            presence_topic(self._place),
            self._presence("offline"),
            qos=QOS_AT_LEAST_ONCE,
            retain=True,
            properties=will,
        )
        client.on_connect = self._when_connected
        client.on_connect_fail = self._when_unreachable
        client.on_disconnect = self._when_disconnected
        client.on_message = self._when_nudged
        session = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        session.SessionExpiryInterval = SESSION_EXPIRY_SECONDS
        client.connect_async(endpoint.host, endpoint.port, keepalive=KEEPALIVE_SECONDS, properties=session)
        return client

    def _presence(self, state: str) -> str:
        return json.dumps({"state": state, "boot_id": self._boot_id})

    def _network(self, client: mqtt.Client) -> None:
        while not self._stopped.is_set():
            try:
                client.loop_forever(retry_first_connection=True)
            except Exception as error:
                # Not foreseen by paho; the broker is optional, so the link goes on without it for a while.
                log.warning("mqtt.fault", error=str(error))
                self._unusable(type(error).__name__)
                self._stopped.wait(30.0)

    def _greet(self, client: mqtt.Client) -> None:
        """After each connection: subscribe, say that the node is there, and wake the policy duty."""
        while not self._stopped.is_set():
            if self._work.wait(30.0):
                self._work.clear()
                if self._connected.is_set() and not self._stopped.is_set():
                    for topic in (policy_topic(self._place.site), commands_topic(self._place)):
                        client.subscribe(topic, qos=QOS_AT_LEAST_ONCE)
                    client.publish(
                        presence_topic(self._place), self._presence("online"), qos=QOS_AT_LEAST_ONCE, retain=True
                    )
                    # What was published while we were away is not in a queue: ask.
                    self._on_nudge()
            self._forget_old_takeover()

    def _when_connected(
        self, _client: mqtt.Client, _userdata: Any, _flags: mqtt.ConnectFlags, reason: ReasonCode, _properties: Any
    ) -> None:
        if reason.is_failure:
            self._unusable(f"the broker refused the connection ({reason})")
            return
        self._health.clear(conditions.BROKER_UNREACHABLE.code)
        self._takeover.connected(time.monotonic())
        self._connected.set()
        self._work.set()

    def _when_unreachable(self, *_: object) -> None:
        self._unusable(f"no connection to {self._identity.mqtt_endpoint}")

    def _when_disconnected(
        self, client: mqtt.Client, _userdata: Any, flags: mqtt.DisconnectFlags, reason: ReasonCode, _properties: Any
    ) -> None:
        self._connected.clear()
        if self._stopped.is_set():
            return
        told = flags.is_disconnect_packet_from_server and reason.value == _SESSION_TAKEN_OVER
        if self._takeover.disconnected(time.monotonic(), told=told):
            # Two clones would throw each other out every second, for ever.
            client.reconnect_delay_set(min_delay=30, max_delay=60)
            self._health.hold(
                conditions.IDENTITY_IN_USE_TWICE.saying(
                    "The broker ends this node's connection again and again right after it began, "
                    "as when a second box, such as a copied disk, uses this identity.",
                    subject=_BROKER,
                )
            )
        self._unusable(f"the connection ended ({reason})")

    def _when_nudged(self, _client: mqtt.Client, _userdata: Any, message: mqtt.MQTTMessage) -> None:
        # Retained messages come again after each subscription: waking twice is harmless.
        if message.topic == commands_topic(self._place):
            self._on_commands()
        else:
            self._on_nudge()

    def _unusable(self, why: str) -> None:
        if not self._stopped.is_set():
            self._health.hold(conditions.BROKER_UNREACHABLE.saying(f"The MQTT broker cannot be used now: {why}."))

    def _forget_old_takeover(self) -> None:
        if self._takeover.is_over(time.monotonic()):
            self._health.clear(conditions.IDENTITY_IN_USE_TWICE.code, subject=_BROKER)
