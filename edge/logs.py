"""Log lines: JSON on standard error, an event code with fields. ERROR means loss or a person is needed."""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
import warnings
from collections.abc import MutableMapping
from functools import partial
from typing import Any

import structlog

from edge.recent_lines import RecentLines

_NOISY = ("pynetdicom", "pydicom", "paho")


def configure_logs(*, quiet: bool = False, process: str = "", recent: RecentLines | None = None) -> None:
    """Send every log line of this process to standard error as one JSON object; `quiet` only what is odd.

    `process` is its name among the processes of a node, for every line; `recent` keeps the newest ones.
    """
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING if quiet else logging.INFO),
        processors=[
            *([_Signed(process)] if process else []),
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=partial(_Lines, recent),
        cache_logger_on_first_use=True,
    )
    # pydicom's warnings quote the values that they complain of.
    warnings.simplefilter("ignore")
    # The libraries print data set elements at some levels: patient data has no place in a log.
    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.CRITICAL)


class _Signed:
    """Puts the name of the process first; a context variable would not reach the threads."""

    def __init__(self, process: str) -> None:
        self._process = process

    def __call__(self, _logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """The line with the name."""
        return {"process": self._process, **event}


class _Lines:
    """Writes lines to standard error; a broken pipe or a full log disk must never stop an image."""

    _lock = threading.Lock()

    def __init__(self, recent: RecentLines | None = None, *_names: object) -> None:
        self._recent = recent

    def msg(self, line: str) -> None:
        """Write one line, or, where that cannot be done, nothing."""
        with self._lock, contextlib.suppress(OSError, ValueError):
            if self._recent is not None:
                self._recent.add(line)
            sys.stderr.write(line + "\n")
            sys.stderr.flush()

    log = debug = info = warning = warn = error = critical = fatal = exception = msg
