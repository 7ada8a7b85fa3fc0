"""Modalities at work, with the clock around them: DCMTK's `dcmsend` and pynetdicom's `storescu`."""

from __future__ import annotations

import contextlib
import itertools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from provisioning.local.ports import LOOPBACK
from provisioning.local.program import find_program

SEND_SECONDS = 900.0
"""Longer than the slowest pair takes; a contestant that hangs ends the row and not the run."""


class TransferFailed(Exception):
    """A contestant did not send or take everything, so there is nothing to compare."""


@contextmanager
def dcmsend(files: Sequence[Path], port: int, *, nagle: bool = False) -> Iterator[subprocess.Popen[bytes]]:
    """One association with these files, all of one folder."""
    argv = [find_program("dcmsend", package="dcmtk"), "-q", "-nuc", LOOPBACK, str(port)]
    argv += [path.name for path in files]
    with _running(argv, files[0].parent, nagle=nagle) as process:
        yield process


@contextmanager
def storescu(files: Sequence[Path], port: int) -> Iterator[subprocess.Popen[bytes]]:
    """pynetdicom's own application; it takes one folder, so it gets one with links to just these files."""
    with tempfile.TemporaryDirectory(prefix="skerry-bench-") as folder:
        for path in files:
            (Path(folder) / path.name).symlink_to(path.resolve())
        argv = [sys.executable, "-m", "pynetdicom", "storescu", "-q", "-cx", LOOPBACK, str(port), folder]
        with _running(argv, Path(folder), nagle=False) as process:
            yield process


@contextmanager
def bare_forwarder(files: Sequence[Path], port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Our own forwarder, without the node around it."""
    argv = [sys.executable, "-m", "tests.bench.bare_forwarder", str(port)]
    with _running([*argv, *(str(path.resolve()) for path in files)], Path.cwd(), nagle=False) as process:
        yield process


def finished(process: subprocess.Popen[bytes], *, seconds: float = SEND_SECONDS) -> None:
    """Return when the sender has ended well.

    Raises:
        TransferFailed: it has not.
    """
    try:
        code = process.wait(seconds)
    except subprocess.TimeoutExpired:
        raise TransferFailed(f"a sender did not end within {seconds:g} s") from None
    if code != 0:
        raise TransferFailed(f"a sender ended with {code}")


def timed(batches: Sequence[Sequence[Path]], *ports: int, nagle: bool) -> float:
    """Seconds from the start of the first sender to the end of the last one; each batch has a sender of its own.

    Senders take the ports in turns.

    Raises:
        TransferFailed: one of them could not send everything.
    """
    with contextlib.ExitStack() as stack:
        started = time.perf_counter()
        turns = zip(batches, itertools.cycle(ports), strict=False)
        senders = [stack.enter_context(dcmsend(files, port, nagle=nagle)) for files, port in turns]
        for sender in senders:
            finished(sender)
        return time.perf_counter() - started


@contextmanager
def _running(argv: Sequence[str], folder: Path, *, nagle: bool) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        list(argv),
        cwd=folder,
        env={**os.environ, "TCP_NODELAY": "0" if nagle else "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
