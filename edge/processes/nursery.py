"""Starts children with exec, and holds what belongs to each while it lives."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass, replace

from edge.ending import Ending
from edge.processes.keeping import Record
from edge.processes.kinds import Role
from edge.processes.launch import Launch
from edge.processes.lifeline import Word, hear
from edge.run_dir import RunDir


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """The end of a child."""

    how: str
    last_words: list[Word]


class ChildProcess:
    """One child, alive or not, over all its lives."""

    def __init__(self, role: Role, launch: Launch, run_dir: RunDir, passed_on: tuple[int, ...]) -> None:
        self.role = role
        self.record = Record(role.name)
        self.cannot: Ending | None = None
        """Why it cannot do its work, when it said so in its last life."""
        self._launch = replace(launch, name=role.name, number=role.number, of=role.of)
        self._run_dir, self._passed_on = run_dir, passed_on
        self._process: subprocess.Popen[bytes] | None = None
        self._lifeline: socket.socket | None = None

    @property
    def name(self) -> str:
        """What logs and metrics call it."""
        return self.role.name

    @property
    def pid(self) -> int | None:
        """While it runs."""
        return None if self._process is None else self._process.pid

    @property
    def lifeline(self) -> socket.socket | None:
        """Where its words come from."""
        return self._lifeline

    def start(self, now: float) -> None:
        """Start it with a fresh interpreter: nothing of ours, and no lock of a library, is copied into it."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        document = replace(self._launch, lifeline=theirs.fileno()).inheritable()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "edge.processes", self.role.kind, str(document), self.name],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env=self._environment(),
                pass_fds=(document, theirs.fileno(), *self._passed_on),
            )
        finally:
            os.close(document)
            theirs.close()
        self._lifeline, self.cannot = ours, None
        self.record.starts(now)

    def words(self) -> list[Word]:
        """What it said since the last time."""
        found: list[Word] = []
        while self._lifeline is not None and (word := hear(self._lifeline)):
            found.append(word)
        return found

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, if it runs."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    def ended(self) -> End | None:
        """How it ended, once; None while it runs or when that was told already."""
        if self._process is None or self._process.poll() is None:
            return None
        code, self._process = self._process.returncode, None
        last_words = self.words()
        if self._lifeline is not None:
            self._lifeline.close()
            self._lifeline = None
        self._run_dir.forget_live_gauges(self.name)
        how = f"it ended with {code}" if code >= 0 else f"it was ended by {signal.Signals(-code).name}"
        return End(how=how, last_words=last_words)

    def _environment(self) -> dict[str, str]:
        """Few malloc arenas: with the default of eight for each core, idle threads keep tens of megabytes."""
        return {
            "MALLOC_ARENA_MAX": "2",
            **os.environ,
            "PROMETHEUS_MULTIPROC_DIR": str(self._run_dir.metrics),
            "SKERRY_PROCESS": self.name,
        }
