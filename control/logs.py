"""Logs: one JSON object a line on stderr. Event codes with fields; never patient data, never a URL's query."""

from __future__ import annotations

import logging
import sys
import traceback

import structlog
from structlog.typing import ExcInfo


def _places_only(exc_info: ExcInfo) -> str:
    """A traceback without the words of the error: those of a database repeat the rows, which are patients' data."""
    kind, _, trace = exc_info
    return f"{''.join(traceback.format_tb(trace))}{kind.__qualname__}"


_EXCEPTIONS = structlog.processors.ExceptionRenderer(_places_only)


def configure(level: int = logging.INFO) -> None:
    """Set the process up. Libraries that log through `logging` come out the same way, from WARNING on."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
            _EXCEPTIONS,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[
                structlog.stdlib.add_log_level,
                structlog.stdlib.add_logger_name,
                structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
            ],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _EXCEPTIONS,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
