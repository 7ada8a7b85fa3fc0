"""What every child does the same: dies with its supervisor, shows progress, says why it cannot go on, ends."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict

import structlog

from edge.bell import Bell
from edge.ending import ending_of
from edge.errors import EdgeError
from edge.logs import configure_logs
from edge.processes.launch import Launch, inherited
from edge.processes.lifeline import is_gone, tell
from edge.recent_lines import RecentLines
from edge.run_dir import RunDir

log = structlog.get_logger(__name__)
BEAT_SECONDS = 1.0
_PR_SET_PDEATHSIG = 1


class Child:
    """This process, as one of a node."""

    def __init__(self, launch: Launch) -> None:
        self.launch, self.settings = launch, launch.settings
        self.stopping = threading.Event()
        self._supervisor = socket.socket(fileno=launch.lifeline)
        self._progress: Callable[[], bool] = lambda: True

    def bell(self, name: str) -> Bell:
        """One of the bells that were passed on."""
        return Bell(self.launch.bells[name])

    def begin(self) -> None:
        """Be a child: from now on the supervisor's end is this process's end."""
        _die_with_parent()
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all; the supervisor decides the order
        signal.signal(signal.SIGTERM, lambda *_: self.stopping.set())
        threading.Thread(target=self._beat, name="lifeline", daemon=True).start()

    def serves(self, progress: Callable[[], bool], **facts: str) -> None:
        """This process does its work from now on. While `progress` says no, the supervisor hears nothing."""
        self._progress = progress
        tell(self._supervisor, ready=True, **facts)

    def cannot(self, error: EdgeError | OSError) -> None:
        """Say why this process cannot do its work at all."""
        tell(self._supervisor, cannot=asdict(ending_of(error)))

    def _beat(self) -> None:
        while not is_gone(self._supervisor, within=BEAT_SECONDS):
            with contextlib.suppress(Exception):  # a question that fails is no sign of progress
                if self._progress():
                    tell(self._supervisor, beat=True)
        os._exit(1)  # as good as a power cut, which every state here survives


def serve(work: Callable[[Child], None]) -> None:
    """Run a child's work to its end. Never returns."""
    launch = inherited(int(sys.argv[2]))
    configure_logs(process=launch.name, recent=RecentLines(RunDir(launch.settings.data_dir).path, launch.name))
    child = Child(launch)
    child.begin()
    try:
        work(child)
    except (EdgeError, OSError) as error:
        child.cannot(error)
        log.error("process.cannot_go_on", error=str(error), hint=ending_of(error).hint)
        os._exit(1)
    except Exception:
        log.exception("process.failed")
        os._exit(1)
    # What is left are library threads that may sit in a connect; everything of ours is settled and closed.
    os._exit(0)


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    # A parent that died before that call is seen by the thread that beats: the lifeline has ended.
