"""What people did to the queue, beside the database: so that a lost one does not undo it.

One line of JSON for each change: what is about to be done is on the disk before the database commits it, and a mark
follows when it did. Without that mark it may or may not have been done, so who reads this holds it for a person.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import structlog

from edge.durable import sync_directory, write_durably

log = structlog.get_logger(__name__)
FILE = "deeds.journal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A part of what one person did: at most as much as one transaction."""

    done_at: int
    """Microseconds; the same for all parts of one deed."""
    who: str
    action: str
    choice: str
    """JSON: the filter."""
    reason: str
    deliveries: int = 0
    of: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Instance ids by destination."""
    to: str = ""
    """Where they go instead."""
    steps: str = ""
    """JSON: the fix of these instances. It may hold what a person wrote into them."""
    certain: bool = True
    """Whether the database is known to have taken it."""


class DeedJournal:
    """Only for whoever holds the database's write lock, but for `did` and `entries`."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / FILE

    def begin(self, entry: Entry) -> str:
        """Return when it is on the disk: the name to give to `did`."""
        name = secrets.token_hex(8)
        values = {key: value for key, value in asdict(entry).items() if value and key != "certain"}
        self._append({"begin": name, **values}, sync=True)
        return name

    def did(self, name: str) -> None:
        """The database has it. What a power cut takes of this costs a person one look, nothing else."""
        self._append({"did": name}, sync=False)

    def entries(self) -> list[Entry]:
        """All that was begun, in its order. A line that was cut off was never committed."""
        found: dict[str, Entry] = {}
        for line in self._lines():
            if name := line.pop("did", ""):
                if name in found:
                    found[name] = replace(found[name], certain=True)
            elif name := line.pop("begin", ""):
                try:
                    values = {"who": "", "choice": "{}", "reason": "", "certain": False, **line}
                    found[name] = Entry(**values)
                except TypeError:
                    log.error("deeds.line_unknown", hint="Another release wrote it: look at what people held here.")
        return list(found.values())

    def size(self) -> int:
        """Bytes on the disk."""
        return self._path.stat().st_size if self._path.exists() else 0

    def replace_with(self, entries: Sequence[Entry]) -> None:
        """Keep these only."""
        lines = []
        for number, entry in enumerate(entries):
            values = {key: value for key, value in asdict(entry).items() if value and key != "certain"}
            lines.append(json.dumps({"begin": f"kept-{number}", **values}))
            if entry.certain:
                lines.append(json.dumps({"did": f"kept-{number}"}))
        write_durably(self._path, "".join(f"{line}\n" for line in lines).encode(), mode=0o600)

    def _append(self, values: Mapping[str, object], *, sync: bool) -> None:
        is_new = not self._path.exists()
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            # The line before may have been cut off, so each begins by ending it.
            line = f"\n{json.dumps(values)}\n".encode()
            if os.write(descriptor, line) != len(line):
                raise OSError(f"{self._path.name} could not be written whole")
            if sync:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if is_new:
            sync_directory(self._path.parent)

    def _lines(self) -> Iterator[dict[str, Any]]:
        if not self._path.exists():
            return
        broken = 0
        for line in self._path.read_bytes().split(b"\n"):
            try:
                values = json.loads(line) if line.strip() else {}
            except ValueError:
                broken += 1
                continue
            if isinstance(values, dict):
                yield values
        if broken:
            log.warning("deeds.lines_cut_off", lines=broken)
