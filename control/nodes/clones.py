"""Two boxes with one identity: seen from the order of their boot ids. Pure.

A process draws a boot id when it starts. A restart gives A, then B, and never A again; a copied disk gives A, B, A.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

WINDOW = timedelta(minutes=10)
"""How near together the alternation must be, and how long the suspicion stays after the last one."""

KEPT = 8
"""Changes that are remembered: enough for any A, B, A inside the window."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Boot:
    """A moment when the boot id of a node changed."""

    boot_id: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class BootHistory:
    """What is remembered of a node's boot ids, and what it means."""

    boots: tuple[Boot, ...]
    clone_suspected: bool


def hear(history: Sequence[Boot], boot_id: str, now: datetime) -> BootHistory:
    """The history after a word from the process with this boot id."""
    boots = tuple(history)
    if not boots or boots[-1].boot_id != boot_id:
        boots = (*boots, Boot(boot_id=boot_id, at=now))[-KEPT:]
    return BootHistory(boots=boots, clone_suspected=_returned(boots, now))


def _returned(boots: Sequence[Boot], now: datetime) -> bool:
    """Whether a boot id came back inside the window after another one had taken its place."""
    recent = [boot.boot_id for boot in boots if now - boot.at <= WINDOW]
    return len(recent) > len(set(recent))
