"""Where forwarded instances end: DCMTK's `storescp`, which writes what it gets, and when each one was there."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from provisioning.local.ports import LOOPBACK, free_port
from provisioning.local.program import Program, find_program
from tests.bench.senders import TransferFailed
from tests.bench.waiting import until

AE_TITLE = "SINK"


class Sink:
    """A PACS that keeps the bytes as they come; one process for each association, Nagle off."""

    def __init__(self, program: Program, port: int, folder: Path) -> None:
        self._program, self.port, self._folder = program, port, folder

    @property
    def address(self) -> str:
        """As `skerry-edge run --to` takes it."""
        return f"{AE_TITLE}@{LOOPBACK}:{self.port}"

    def hold(self) -> None:
        """Let the kernel take connections and bytes, and answer none of them, until `let_go`."""
        os.killpg(self._program.pid, signal.SIGSTOP)

    def let_go(self) -> float:
        """Answer from now on; returns when that was, as seconds of the wall clock."""
        now = time.time()
        os.killpg(self._program.pid, signal.SIGCONT)
        return now

    def is_called(self) -> bool:
        """Whether somebody waits for an answer now."""
        return any(
            one.status == psutil.CONN_ESTABLISHED and one.raddr and one.raddr.port == self.port
            for one in psutil.net_connections("tcp4")
        )

    def count(self) -> int:
        """Instances that are there, the newest perhaps not yet whole."""
        return sum(1 for _ in self._folder.iterdir())

    def last_arrival(self, count: int, *, seconds: float) -> float:
        """When the last of `count` instances was whole, as seconds of the wall clock.

        Raises:
            TransferFailed: fewer came within the time.
        """
        try:
            until(lambda: self.count() >= count, f"{count} instances at the sink", seconds=seconds, step=0.05)
        except TransferFailed as error:
            raise TransferFailed(f"{error}; there were {self.count()}") from None
        newest = 0.0
        while True:
            before, newest = newest, max(path.stat().st_mtime for path in self._folder.iterdir())
            if newest == before:
                return newest
            time.sleep(0.3)


@contextmanager
def sink(folder: Path) -> Iterator[Sink]:
    """A sink with an empty folder."""
    received = folder / "sink"
    received.mkdir(parents=True)
    port = free_port()
    argv = [find_program("storescp", package="dcmtk"), "-q", "--fork", "-aet", AE_TITLE, "-od", str(received)]
    argv += ["-pm", "+xa", "+B", str(port)]
    with Program(name="sink", argv=argv, log_dir=folder / "log", env={"TCP_NODELAY": "1"}) as program:
        program.wait_port(port)
        try:
            yield Sink(program, port, received)
        finally:
            os.killpg(program.pid, signal.SIGCONT)  # a stopped process cannot end itself
