"""Log lines: JSON on standard error, an event code with fields. ERROR means loss or a person is needed."""

from __future__ import annotations

import logging
import sys
import warnings

import structlog

_NOISY = ("pynetdicom", "pydicom", "paho")


def configure_logs() -> None:
    """Send every log line of this process to standard error as one JSON object."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    # pydicom's warnings quote the values that they complain of.
    warnings.simplefilter("ignore")
    # The libraries print data set elements at some levels: patient data has no place in a log.
    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.CRITICAL)
