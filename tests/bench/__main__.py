"""`python -m tests.bench`: ours beside its peers, in turns, in one run; one table, and every figure as JSON.

Ends with 0 when everything could be measured, whatever came out, with 1 when something could not.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

import httpx2
import psutil

from provisioning.errors import ProvisioningError
from provisioning.local.program import is_installed
from tests.bench.arena import Arena
from tests.bench.data import DataSets
from tests.bench.machine import machine
from tests.bench.receivers import CONTESTANTS
from tests.bench.results import Line, table
from tests.bench.rows import ASKED, MORE, QUICK, Row, select
from tests.bench.senders import TransferFailed
from tests.bench.wire import WireError

_EXPECTED = (TransferFailed, ProvisioningError, WireError, OSError, httpx2.HTTPError, psutil.Error)
_QUICK_SCALE = 0.01
_ONE_WISH_SECONDS = 2.0


def main(argv: list[str] | None = None) -> int:
    """Measure what is asked for, print the table, write the JSON document."""
    options = _options(argv)
    if options.list:
        print("\n".join(row.name + ("" if row in ASKED else "   (only when named)") for row in (*ASKED, *MORE)))
        return 0
    try:
        rows = select(options.rows)
    except LookupError as error:
        print(error.args[0], file=sys.stderr)
        return 2
    _stop_tidily()
    arena = _arena(options)
    lines: list[Line] = []
    started = datetime.now(UTC)
    stopped = False
    try:
        for number, row in enumerate(rows, 1):
            _say(f"{number}/{len(rows)} {row.name}")
            _measure(row, arena, lines)
    except KeyboardInterrupt:
        stopped = True
        _say("stopped; what was measured until now:")
    print(table(lines))
    print("\ndurable when success is answered:")
    print("\n".join(f"  {one.name}: {one.durable}" for one in CONTESTANTS))
    path = options.json or options.folder / f"results-{started:%Y%m%dT%H%M%SZ}.json"
    path.write_text(json.dumps(_document(options, started, lines), indent=2) + "\n", encoding="utf-8")
    print(f"\nevery figure: {path}")
    return 130 if stopped else int(any(line.trouble for line in lines))


def _stop_tidily() -> None:
    """Let SIGINT and SIGTERM end the run, once: a shell or `timeout` sends them twice, and tidying up must go on."""
    last = float("-inf")

    def stop(_number: int, _frame: FrameType | None) -> None:
        nonlocal last
        before, last = last, time.monotonic()
        if last - before >= _ONE_WISH_SECONDS:
            raise KeyboardInterrupt

    for interruption in (signal.SIGINT, signal.SIGTERM):
        signal.signal(interruption, stop)


def _measure(row: Row, arena: Arena, lines: list[Line]) -> None:
    missing = sorted({package for program, package in row.needs if program and not is_installed(program)})
    if missing:
        lines.append(Line(name=row.name, unit="", trouble=f"not installed: {', '.join(missing)}"))
        return
    try:
        for line in row.measure(arena):
            lines.append(line)
            _say("  " + table([line]).splitlines()[1])
    except _EXPECTED as error:
        told = str(error).splitlines() or [type(error).__name__]
        words = told[0] if len(told) == 1 else f"{told[0]}: {told[-1].strip()}"  # the last line of a log says why
        lines.append(Line(name=row.name, unit="", trouble=words))
        _say(f"  failed: {words}")


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--rows", default="", help="names or patterns, with commas: receive.*,idle")
    parser.add_argument("--list", action="store_true", help="the names of all rows")
    parser.add_argument("--pairs", type=int, default=5, help="turns of each side; medians are compared [5]")
    parser.add_argument("--scale", type=float, default=1.0, help="of all counts; small ones say little [1.0]")
    parser.add_argument("--held", type=int, default=1_000_000, help="instances in the buffer of the row `million`")
    parser.add_argument("--json", type=Path, help="where to write every figure [.bench/results-<time>.json]")
    parser.add_argument("--folder", type=Path, default=Path(".bench"), help="data and scratch space [.bench]")
    parser.add_argument("--quick", action="store_true", help="seconds: shows that the bench works, and nothing else")
    options = parser.parse_args(argv)
    options.rows = [name for name in options.rows.split(",") if name]
    if options.quick:
        options.pairs, options.scale = 1, _QUICK_SCALE
        options.rows, options.held = options.rows or list(QUICK), min(options.held, 500)
    return options


def _arena(options: argparse.Namespace) -> Arena:
    folder = options.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    return Arena(
        folder=folder,
        data=DataSets(folder, options.scale),
        pairs=options.pairs,
        scale=options.scale,
        watch_seconds=1.0 if options.quick else 20.0,
        rest_seconds=0.3 if options.quick else 4.0,
        prepares=not options.quick,
        held=options.held,
        say=_say,
    )


def _document(options: argparse.Namespace, started: datetime, lines: list[Line]) -> dict[str, object]:
    return {
        "started": started.isoformat(),
        "ended": datetime.now(UTC).isoformat(),
        "options": {"pairs": options.pairs, "scale": options.scale, "rows": options.rows, "quick": options.quick},
        "machine": machine(),
        "durable": {one.name: one.durable for one in CONTESTANTS},
        "lines": [line.as_json() for line in lines],
    }


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
