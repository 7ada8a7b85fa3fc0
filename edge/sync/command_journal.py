"""What people at the centre asked of this node and how it went: kept across restarts, so that it is done once."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import structlog

from edge.durable import write_durably

log = structlog.get_logger(__name__)

FILE = "commands.json"
KEPT = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One command."""

    command_id: str
    kind: str
    state: str
    """accepted | done | failed"""
    text: str = ""
    result: str = ""
    """JSON, or nothing."""
    told: bool = False
    """Whether the centre knows the end of it."""


class CommandJournal:
    """A small file, written durably with every change. A damaged one is begun anew: commands are asked for again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._entries = _read(path)

    def known(self, command_id: str) -> bool:
        """Whether it was accepted here before."""
        with self._lock:
            return command_id in self._entries

    def accept(self, command_id: str, kind: str) -> None:
        """It is about to be done."""
        self._keep(Entry(command_id=command_id, kind=kind, state="accepted"))

    def finish(self, command_id: str, *, done: bool, text: str, result: str = "") -> None:
        """It has ended so."""
        with self._lock:
            entry = self._entries[command_id]
        with _though_the_disk_is_full():
            self._keep(replace(entry, state="done" if done else "failed", text=text, result=result))

    def tell(self, command_id: str) -> None:
        """The centre knows the end of it; what came out need not be kept here."""
        with self._lock:
            entry = self._entries[command_id]
        with _though_the_disk_is_full():
            self._keep(replace(entry, told=True, result=""))

    def untold(self) -> Sequence[Entry]:
        """What has ended and the centre does not know of, the oldest first."""
        with self._lock:
            return [one for one in self._entries.values() if one.state != "accepted" and not one.told]

    def interrupted(self) -> Sequence[Entry]:
        """What was accepted and has not ended."""
        with self._lock:
            return [one for one in self._entries.values() if one.state == "accepted"]

    def _keep(self, entry: Entry) -> None:
        with self._lock:
            self._entries[entry.command_id] = entry
            ended = [key for key, one in self._entries.items() if one.told]
            for key in ended[: max(0, len(self._entries) - KEPT)]:
                del self._entries[key]
            values = [asdict(one) for one in self._entries.values()]
            write_durably(self._path, json.dumps(values).encode(), mode=0o600)


@contextmanager
def _though_the_disk_is_full() -> Iterator[None]:
    """What has ended is told from memory; after a restart it is told as interrupted."""
    try:
        yield
    except OSError as error:
        log.warning("commands.journal_unwritten", error=type(error).__name__)


def _read(path: Path) -> dict[str, Entry]:
    try:
        return {one["command_id"]: Entry(**one) for one in json.loads(path.read_bytes())}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, KeyError) as error:
        log.warning("commands.journal_damaged", error=type(error).__name__)
        return {}
