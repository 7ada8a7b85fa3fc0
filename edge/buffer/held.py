"""Whether an object is refused as a duplicate: asked by ingest before it answers, when the policy says so."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import apsw
import structlog

from edge.buffer.database import first, open_reader, run
from edge.errors import EdgeError

DUPLICATES_NOTE = "policy.duplicates"
"""What the policy in force does with duplicates, for processes that know no policy."""
REFUSE = "refuse"
_ASK_AGAIN_SECONDS = 1.0
log = structlog.get_logger(__name__)


class HeldInstances:
    """Looks into the index and changes nothing. Threads take turns; whatever goes wrong, nothing is refused."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / "edge.db"
        self._connection: apsw.Connection | None = None
        self._refusing = False
        self._ask_at = 0.0
        self._turn = threading.Lock()

    def refusing(self) -> bool:
        """Whether the policy in force refuses duplicates; a second old at most."""
        now = time.monotonic()
        if now < self._ask_at:
            return self._refusing
        with self._turn:
            self._ask_at = now + _ASK_AGAIN_SECONDS
            try:
                row = first(self._reader(), "read_note", key=DUPLICATES_NOTE)
            except (apsw.Error, EdgeError, OSError):
                row = None
            self._refusing = row is not None and row["value"] == REFUSE
        return self._refusing

    def refuses(self, sop_instance_uid: str, length: int, checksum: int) -> bool:
        """Whether an object of this UID is held with other bytes, and the policy says not to take a second one."""
        if not self.refusing():
            return False
        try:
            with self._turn:
                found = run(self._reader(), "held_otherwise", uid=sop_instance_uid, length=length, checksum=checksum)
        except (apsw.Error, EdgeError, OSError):
            log.warning("duplicates.not_looked_up", exc_info=True, hint="It is taken, and flagged when it is indexed.")
            return False
        return bool(found)

    def _reader(self) -> apsw.Connection:
        if self._connection is None:
            self._connection = open_reader(self._path)
        return self._connection
