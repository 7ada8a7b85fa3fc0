"""The last log lines of each process, for whoever asks from afar: a ring in memory that another process can map too.

Its file lies in the run directory, and its room is taken at once: a full disk never stops a process that writes a line.
What a process said outlives its death, until the node starts anew.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

PREFIX = "log-"
ROOM = 128 << 10
"""Bytes of lines that each process keeps."""
LEVELS = ("debug", "info", "warning", "error", "critical")
_HEAD = struct.Struct("<Q")
"""How many bytes were written ever."""


class RecentLines:
    """What this process said last. Only one thread writes at a time."""

    def __init__(self, run: Path, process: str) -> None:
        """Go on behind what a process of this name said before; where there is no room for it, nothing is kept."""
        self._map: mmap.mmap | None = None
        self._written = 0
        with contextlib.suppress(OSError):
            descriptor = os.open(run / f"{PREFIX}{process}", os.O_RDWR | os.O_CREAT, 0o600)
            try:
                os.posix_fallocate(descriptor, 0, _HEAD.size + ROOM)
                self._map = mmap.mmap(descriptor, _HEAD.size + ROOM)
                (self._written,) = _HEAD.unpack_from(self._map)
            finally:
                os.close(descriptor)

    def add(self, line: str) -> None:
        """Keep one line; one that is longer than the ring is left out."""
        content = line.encode("utf-8", "replace") + b"\n"
        if self._map is None or len(content) > ROOM:
            return
        at = self._written % ROOM
        first = content[: ROOM - at]
        self._map[_HEAD.size + at : _HEAD.size + at + len(first)] = first
        self._map[_HEAD.size : _HEAD.size + len(content) - len(first)] = content[len(first) :]
        self._written += len(content)
        self._map[: _HEAD.size] = _HEAD.pack(self._written)


def tail(run: Path, *, lines: int, least: str = "debug", most_bytes: int) -> Sequence[dict[str, Any]]:
    """The newest lines of all processes at or above a level, in the order of their times, within both bounds."""
    found = [one for path in sorted(run.glob(f"{PREFIX}*")) for one in _lines_of(path)]
    wanted = LEVELS[LEVELS.index(least) :]
    chosen = sorted((one for one in found if one.get("level") in wanted), key=lambda one: str(one.get("timestamp", "")))
    kept: list[dict[str, Any]] = []
    room = most_bytes
    for one in reversed(chosen[-lines:]):
        room -= len(json.dumps(one)) + 2
        if room < 0:
            break
        kept.append(one)
    return kept[::-1]


def _lines_of(path: Path) -> Iterator[dict[str, Any]]:
    """Whole lines. One that is written at this moment, or was overwritten in part, is no JSON and left out."""
    try:
        content = path.read_bytes()
    except OSError:
        return
    if len(content) != _HEAD.size + ROOM:
        return
    (written,) = _HEAD.unpack_from(content)
    ring, at = content[_HEAD.size :], written % ROOM
    text = ring[at:] + ring[:at] if written > ROOM else ring[:at]
    pieces = text.split(b"\n")
    for piece in pieces[1:-1] if written > ROOM else pieces[:-1]:
        with contextlib.suppress(ValueError, RecursionError):
            value = json.loads(piece)
            if isinstance(value, dict):
                yield value
