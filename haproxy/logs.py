"""Log lines: JSON on standard error, an event code with fields. ERROR means loss or a person needed."""

from __future__ import annotations

import contextlib
import logging
import sys
import threading

import structlog


def configure_logs(*, quiet: bool = False) -> None:
    """Send every log line of this process to standard error as one JSON object; `quiet` only what is odd."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING if quiet else logging.INFO),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=_Lines,
        cache_logger_on_first_use=True,
    )


class _Lines:
    """Writes lines; a broken pipe or a full log disk must never stop a site's pools."""

    _lock = threading.Lock()

    def __init__(self, *_names: object) -> None:
        pass

    def msg(self, line: str) -> None:
        """Write one line, or, where that cannot be done, nothing."""
        with self._lock, contextlib.suppress(OSError, ValueError):
            sys.stderr.write(line + "\n")
            sys.stderr.flush()

    log = debug = info = warning = warn = error = critical = fatal = exception = msg
