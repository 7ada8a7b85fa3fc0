"""MQTT topics and their QoS: the one place that both sides read.

Nothing clinical travels here and no flow needs it: a lost broker costs latency only.
"""

from __future__ import annotations

from dataclasses import dataclass

QOS_AT_MOST_ONCE = 0
QOS_AT_LEAST_ONCE = 1

ROOT = "mesh/v1"
ALL_PRESENCE = f"{ROOT}/+/+/presence"
"""What the control plane subscribes to, at QoS 0: at QoS 1 a broker truncates the retained fan-in of a large mesh."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodePlace:
    """Whose presence a topic speaks of."""

    site: str
    node_id: str


def policy_topic(site: str) -> str:
    """Retained nudge `{"generation": G, "version": V}`: "something new is to be pulled"."""
    return f"{ROOT}/{site}/policy"


def commands_topic(place: NodePlace) -> str:
    """Nudge without content, not retained: "there are commands to be pulled"."""
    return f"{ROOT}/{place.site}/{place.node_id}/commands"


def presence_topic(place: NodePlace) -> str:
    """Retained `{"state": "online"|"offline", "boot_id": "..."}`; offline is the node's last will."""
    return f"{ROOT}/{place.site}/{place.node_id}/presence"


def read_presence_topic(topic: str) -> NodePlace | None:
    """The node that a presence topic names, or None for any other topic."""
    parts = topic.split("/")
    if len(parts) != 5 or "/".join(parts[:2]) != ROOT or parts[4] != "presence":
        return None
    return NodePlace(site=parts[2], node_id=parts[3])
