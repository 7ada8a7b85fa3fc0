"""What HAProxy was offered and does not run, and why: remembered over restarts, and not tried again."""

from __future__ import annotations

import json
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import get_args

import structlog

from haproxy.durable import write_durably
from haproxy.manager.interface import Code, Rejected

log = structlog.get_logger(__name__)
MOST_REMEMBERED = 32
PASSING: frozenset[Code] = frozenset({"outdated", "away", "cannot_be_kept"})
"""Reasons that lie outside the document: the next offer of the same may go well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Refused:
    fingerprint: str
    order: int
    code: str
    words: str


class Rejections:
    """The memory of one manager."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._known = self._read()
        self._newest = self._known[-1] if self._known else None

    def last(self) -> Rejected | None:
        """What was refused last, while nothing was applied since."""
        return None if self._newest is None else _told(self._newest)

    def find(self, fingerprint: str) -> Rejected | None:
        """The refusal of these very bytes."""
        with self._lock:
            return next((_told(one) for one in self._known if one.fingerprint == fingerprint), None)

    def remember(self, fingerprint: str, rejected: Rejected) -> None:
        """Keep it, unless its reason passes by itself. A disk that does not take it costs one more try later."""
        if rejected.code in PASSING:
            return
        with self._lock:
            one = _Refused(
                fingerprint=fingerprint, order=rejected.order, code=rejected.code, words=rejected.words[:4000]
            )
            others = [known for known in self._known if known.fingerprint != fingerprint]
            self._known = [*others[1 - MOST_REMEMBERED :], one]
            self._newest = one
            self._write()

    def applied(self) -> None:
        """Something newer runs: nobody need be told of the last refusal any more."""
        with self._lock:
            self._newest = None

    def forget(self) -> None:
        """A person wants another try: a certificate may be there now, or a port be free."""
        with self._lock:
            self._known, self._newest = [], None
            self._path.unlink(missing_ok=True)

    def _write(self) -> None:
        try:
            write_durably(self._path, json.dumps([asdict(one) for one in self._known], indent=2).encode())
        except OSError as error:
            log.warning("pools.rejection_not_kept", error=str(error))

    def _read(self) -> list[_Refused]:
        try:
            facts = json.loads(self._path.read_bytes())
            read = [_Refused(**one) for one in facts]
            return [one for one in read if one.code in get_args(Code)]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, TypeError) as error:
            log.warning("pools.rejections_unreadable", error=str(error))
            return []


def _told(one: _Refused) -> Rejected:
    code: Code = one.code  # type: ignore[assignment]  # read from a file, and looked up there
    return Rejected(order=one.order, code=code, words=one.words)
