"""`python -m edge.processes KIND …`: how the supervisor and its children begin. Not for people."""

from __future__ import annotations

import importlib
import sys

KINDS = ("supervisor", "core", "ingest", "forward")


def main() -> None:
    """Become one of the processes of a node."""
    # structlog loads rich, when it is there, for tracebacks in colour. Our lines are JSON, and it costs each 5 MB.
    # pydicom loads requests, when it is there, for sample files that it would fetch. No process of a node has any.
    # It also loads every codec that it finds; ours run in a process of their own (edge/forward/decoding).
    for unwanted in ("rich", "requests", "gdcm", "numpy"):
        sys.modules[unwanted] = None  # type: ignore[assignment]
    if sys.argv[1] not in KINDS:
        raise SystemExit(f"unknown kind of process: {sys.argv[1]}")
    importlib.import_module(f"edge.processes.{sys.argv[1]}").main()


if __name__ == "__main__":
    main()
