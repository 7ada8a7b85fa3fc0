"""Presence and nudges over a real mosquitto with mutual TLS; without it only latency changes."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from edge.health import HealthBoard
from edge.sync.conditions import LinkHealth
from edge.sync.identity import NodeIdentity
from edge.sync.mqtt_nudge import MqttNudge
from edge.sync.tls import client_context
from mesh.topics import ALL_PRESENCE, NodePlace, policy_topic, presence_topic
from tests.certificates import MeshAuthority
from tests.mosquitto_broker import MosquittoBroker
from tests.real_programs import require

MESH = MeshAuthority()


def until(what: Callable[[], object], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[MosquittoBroker]:
    require("mosquitto")
    broker = MosquittoBroker(tmp_path / "broker", MESH)
    broker.start()
    yield broker
    broker.stop()


class Watcher:
    """The control plane's side of the broker: sees presence, sends nudges. Or any other client with a certificate."""

    def __init__(self, broker: MosquittoBroker, identity: NodeIdentity) -> None:
        self.heard: list[tuple[str, dict[str, Any]]] = []
        self._ready = threading.Event()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=f"w-{identity.node_id}", protocol=mqtt.MQTTv5)
        self._client.tls_set_context(client_context(identity))
        self._client.on_message = self._when_heard
        self._client.on_subscribe = lambda *_: self._ready.set()
        self._client.connect("127.0.0.1", broker.port)
        self._client.loop_start()
        self._client.subscribe(ALL_PRESENCE, qos=0)
        assert self._ready.wait(10)

    def nudge(self, site: str, version: int) -> None:
        self.say(policy_topic(site), {"generation": 1, "version": version})

    def say(self, topic: str, content: dict[str, Any]) -> None:
        self._client.publish(topic, json.dumps(content), qos=1, retain=True).wait_for_publish(5)

    def states(self, node_id: str = "node-1") -> list[str]:
        topic = presence_topic(NodePlace(site="north", node_id=node_id))
        return [content["state"] for heard, content in self.heard if heard == topic]

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _when_heard(self, _client: object, _userdata: object, message: mqtt.MQTTMessage) -> None:
        self.heard.append((message.topic, json.loads(message.payload)))


@pytest.fixture
def control(broker: MosquittoBroker) -> Iterator[Watcher]:
    watcher = Watcher(broker, MESH.identity(node_id="control", site="control"))
    yield watcher
    watcher.close()


class Node:
    """A node's side of the broker."""

    def __init__(
        self, endpoint: str, *, node_id: str = "node-1", mesh: MeshAuthority = MESH, boot: str = "boot-1"
    ) -> None:
        self.nudges = 0
        self.board = HealthBoard()
        identity = mesh.identity(mqtt_endpoint=endpoint, node_id=node_id, ca_pem=MESH.ca_pem)
        self.nudge = MqttNudge(
            identity=identity,
            boot_id=boot,
            health=LinkHealth(self.board),
            on_nudge=self._nudged,
            will_delay_seconds=1,
        )
        self.nudge.start()

    def codes(self) -> set[str]:
        return {condition.code for condition in self.board.current()}

    def _nudged(self) -> None:
        self.nudges += 1

    def cut(self) -> None:
        """As when the power goes: the connection breaks without a goodbye."""
        client = self.nudge._client
        assert client is not None
        self.nudge._stopped.set()
        client._thread_terminate = True
        peer = client.socket()
        assert peer is not None
        peer.close()


def test_a_node_is_online_and_says_goodbye(broker: MosquittoBroker, control: Watcher) -> None:
    node = Node(broker.endpoint)
    until(lambda: control.states() == ["online"])
    node.nudge.stop()
    until(lambda: control.states() == ["online", "offline"], seconds=10)
    assert control.heard[0][1] == {"state": "online", "boot_id": "boot-1"}


def test_presence_is_there_for_whoever_comes_later(broker: MosquittoBroker) -> None:
    node = Node(broker.endpoint)
    first = Watcher(broker, MESH.identity(node_id="control", site="control"))
    until(lambda: first.states() == ["online"])
    first.close()
    second = Watcher(broker, MESH.identity(node_id="control", site="control"))
    until(lambda: second.states() == ["online"])
    second.close()
    node.nudge.stop()


def test_a_nudge_wakes_the_node(broker: MosquittoBroker, control: Watcher) -> None:
    node = Node(broker.endpoint)
    until(lambda: node.nudges >= 1)
    before = node.nudges
    control.nudge("north", 5)
    until(lambda: node.nudges > before, seconds=10)
    node.nudge.stop()


def test_a_nudge_of_another_site_wakes_nobody(broker: MosquittoBroker, control: Watcher) -> None:
    node = Node(broker.endpoint)
    until(lambda: control.states() == ["online"])
    time.sleep(0.3)
    before = node.nudges
    control.nudge("south", 5)
    time.sleep(0.5)
    assert node.nudges == before
    node.nudge.stop()


def test_a_retained_nudge_wakes_a_node_that_comes_later(broker: MosquittoBroker, control: Watcher) -> None:
    control.nudge("north", 5)
    node = Node(broker.endpoint)
    until(lambda: node.nudges >= 2)
    node.nudge.stop()


def test_the_last_will_tells_of_a_node_that_is_cut_off(broker: MosquittoBroker, control: Watcher) -> None:
    node = Node(broker.endpoint)
    until(lambda: control.states() == ["online"])
    node.cut()
    until(lambda: control.states() == ["online", "offline"], seconds=10)


def test_after_a_restart_of_the_broker_the_node_is_online_again_and_asks_for_news(
    broker: MosquittoBroker,
) -> None:
    node = Node(broker.endpoint)
    until(lambda: node.nudges >= 1)
    broker.stop()
    until(lambda: node.codes() == {"broker-unreachable"})
    before = node.nudges
    broker.start()
    control = Watcher(broker, MESH.identity(node_id="control", site="control"))
    until(lambda: control.states() == ["online"])
    until(lambda: node.codes() == set())
    assert node.nudges > before
    control.close()
    node.nudge.stop()


def test_without_a_broker_the_node_starts_and_stops_at_once() -> None:
    began = time.monotonic()
    node = Node("127.0.0.1:1")
    until(lambda: node.codes() == {"broker-unreachable"})
    (condition,) = node.board.current()
    assert condition.severity == "low"
    node.nudge.stop()
    assert time.monotonic() - began < 10
    assert node.codes() == set()


def test_an_endpoint_that_is_none_is_told_and_harms_nothing() -> None:
    node = Node("nonsense")
    assert node.codes() == {"broker-unreachable"}
    node.nudge.stop()


def test_a_node_of_another_mesh_is_not_let_in(broker: MosquittoBroker, control: Watcher) -> None:
    stranger = Node(broker.endpoint, node_id="stranger", mesh=MeshAuthority("another mesh"))
    until(lambda: stranger.codes() == {"broker-unreachable"})
    assert control.states("stranger") == []
    stranger.nudge.stop()


@pytest.mark.parametrize(
    "topic", [presence_topic(NodePlace(site="north", node_id="node-1")), policy_topic("north"), policy_topic("south")]
)
def test_a_node_cannot_speak_for_another_or_nudge(broker: MosquittoBroker, control: Watcher, topic: str) -> None:
    liar = Watcher(broker, MESH.identity(node_id="node-2"))
    # Mosquitto 2.0 throws a client out that publishes where it may not; a newer one only refuses.
    with contextlib.suppress(RuntimeError):
        liar.say(topic, {"state": "offline", "generation": 9, "version": 9})
    liar.close()
    node = Node(broker.endpoint)
    until(lambda: control.states("node-1") == ["online"])
    time.sleep(0.3)
    assert node.nudges == 1
    node.nudge.stop()


def test_a_node_does_not_hear_of_others(broker: MosquittoBroker, control: Watcher) -> None:
    curious = Watcher(broker, MESH.identity(node_id="node-2"))
    node = Node(broker.endpoint)
    until(lambda: control.states("node-1") == ["online"])
    time.sleep(0.3)
    assert curious.heard == []
    curious.close()
    node.nudge.stop()


def test_two_boxes_with_one_identity_are_told(broker: MosquittoBroker) -> None:
    box = Node(broker.endpoint)
    until(lambda: box.nudges >= 1)
    copy = Node(broker.endpoint, boot="b-2")
    until(lambda: "identity-in-use-twice" in box.codes())
    copy.nudge.stop()
    box.nudge.stop()
