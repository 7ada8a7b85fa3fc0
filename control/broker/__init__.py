"""The MQTT side: nudges out, presence in. Its loss costs latency only."""

from __future__ import annotations
