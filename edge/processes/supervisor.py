"""`skerry-edge run` itself: holds the DICOM listener and the data directory, and keeps the processes of a node alive.

It does nothing that could fail with an image: no database, no policy, no DICOM. One thread, so that the kernel ties the
children's lives to it.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time

from edge.bell import Bell
from edge.data_dir import lock_data_dir
from edge.ending import Ending, ending_of
from edge.errors import EdgeError
from edge.ingest.listener import listen
from edge.processes.keeping import STILLBORN_LIMIT
from edge.processes.kinds import STOP_ORDER, STOP_SECONDS, roles
from edge.processes.launch import Launch, inherited
from edge.processes.lines import keep_in, say
from edge.processes.nursery import ChildProcess
from edge.processes.report import Reporter
from edge.processes.systemd import Systemd
from edge.recent_lines import RecentLines
from edge.run_dir import RunDir

ROUND_SECONDS = 0.25
PAUSED_SECONDS = 3.0
"""After a round so late, the supervisor itself did not run: a virtual machine that was held, or far too little CPU."""
LOCK_WAIT_SECONDS = 3.0
"""The children of a supervisor that was killed end with it, but not in the same microsecond."""


class Supervisor:
    """The processes of one node."""

    def __init__(self, launch: Launch) -> None:
        self._settings = launch.settings
        self._stopping = False
        self._wake, self._wakened = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._obey_signals()
        self._lock = lock_data_dir(self._settings.data_dir, wait_seconds=LOCK_WAIT_SECONDS)
        self._run_dir = RunDir(self._settings.data_dir)
        self._run_dir.clear()
        keep_in(RecentLines(self._run_dir.path, "supervisor"))
        self._listener = listen(self._settings.listen)
        self._agent = listen(self._settings.agent) if self._settings.agent else None
        host, port = self._listener.getsockname()[:2]
        self._dicom = f"{host}:{port}"
        self._http = ""
        self._systemd = Systemd()
        wanted = roles(self._settings)
        senders = [role.name for role in wanted if role.kind == "forward"]
        bells = {name: os.eventfd(0) for name in ("outbox", "look", *senders)}
        self._look = Bell(bells["look"])
        passed_on = Launch(
            settings=self._settings,
            policy=launch.policy,
            dicom=self._dicom,
            listener=self._listener.fileno(),
            agent=self._agent.fileno() if self._agent is not None else -1,
            bells=bells,
        )
        agent = () if self._agent is None else (self._agent.fileno(),)
        descriptors = (self._listener.fileno(), *agent, self._lock.fileno(), *bells.values())
        self._children = [ChildProcess(role, passed_on, self._run_dir, descriptors) for role in wanted]
        self._reporter = Reporter(self._children)
        self._served = False
        """Whether all of them served at the same time, once."""

    def run(self) -> int:
        """Keep the node running until it is asked to stop, or cannot go on. The exit code."""
        say("node.starting", processes=[child.name for child in self._children])
        before = time.monotonic()
        while not self._stopping:
            now = time.monotonic()
            if now - before > PAUSED_SECONDS:
                self._forgive(now)
            before = now
            for child in self._children:
                ending = self._look_at(child, now)
                if ending is not None:
                    self._stop()
                    ending.tell()
                    return ending.code
            self._tell_of_it(now)
            self._sleep()
        return self._stop()

    def _forgive(self, now: float) -> None:
        """The machine stood still, and with it everybody: silence in that time is nobody's fault."""
        for child in self._children:
            child.record.beats(now)

    def _look_at(self, child: ChildProcess, now: float) -> Ending | None:
        """Do what this child needs now; an ending when the node cannot go on because of it."""
        for word in child.words():
            self._hear(child, word, now)
        end = child.ended()
        if end is not None:
            for word in end.last_words:
                self._hear(child, word, now)
            child.record.ends(now, end.how)
            hint = child.cannot.hint if child.cannot is not None else "It is started again."
            say("process.ended", level="error", child=child.name, how=end.how, hint=hint)
            if child.role.kind == "ingest":
                self._look.ring()  # it may have taken into custody what it told nobody of
            if child.cannot is not None and not self._served:
                return child.cannot
            if not self._served and child.record.row >= STILLBORN_LIMIT:
                text = f"{child.name} cannot start: {end.how}"
                return Ending(text=text, hint="See the log lines above.", code=1)
        elif child.record.hangs(now, self._settings.stall_seconds):
            say("process.hangs", level="error", child=child.name, hint="It is killed and started again.")
            child.signal(signal.SIGKILL)
            child.record.beats(now)
        elif child.record.is_due(now) and not self._stopping:
            child.start(now)
            say("process.started", child=child.name, pid=child.pid)
        return None

    def _hear(self, child: ChildProcess, word: dict[str, object], now: float) -> None:
        if "ready" in word:
            child.record.serves(now)
            self._http = str(word.get("http", self._http))
        elif "beat" in word:
            child.record.beats(now)
        elif isinstance(cannot := word.get("cannot"), dict):
            child.cannot = Ending(**cannot)

    def _tell_of_it(self, now: float) -> None:
        """Keep everybody who watches up to date: the node's own report, systemd, and who waits for the ready line."""
        all_serve = all(child.record.served is not None for child in self._children)
        if all_serve and not self._served:
            self._served = True
            with contextlib.suppress(OSError):
                print(f"ready dicom={self._dicom} http={self._http}", flush=True)
            self._systemd.tell(READY=1, STATUS=f"serves {self._dicom}")
        found, news = self._reporter.look(now)
        if news:
            with contextlib.suppress(OSError):  # a full disk: who reads it sees that it is old
                self._run_dir.write("processes.json", found.document)
            if self._served:
                self._systemd.tell(STATUS=found.sentence(self._dicom))
        if all_serve and found.all_beat:
            self._systemd.pet_watchdog()

    def _stop(self) -> int:
        """End the children in order, each kind within its time. 0 when all ended by themselves."""
        began = time.monotonic()
        self._systemd.tell(STOPPING=1)
        clean = True
        for kind in STOP_ORDER:
            children = [child for child in self._children if child.role.kind == kind]
            for child in children:
                child.signal(signal.SIGTERM)
            if kind == "ingest":
                self._listener.close()  # who comes now is refused at once instead of waiting for nobody
            while any(child.pid for child in children) and time.monotonic() - began < STOP_SECONDS[kind]:
                for child in children:
                    child.ended()
                self._sleep(0.02)
            for child in children:
                if child.pid:
                    clean = False
                    say("process.killed", level="warning", child=child.name, hint="It did not end in time.")
                    child.signal(signal.SIGKILL)
        say("node.stopped", seconds=round(time.monotonic() - began, 1))
        return 0 if clean else 1

    def _sleep(self, seconds: float = ROUND_SECONDS) -> None:
        """Wait for a word, the end of a child, or a signal."""
        lifelines = [child.lifeline.fileno() for child in self._children if child.lifeline is not None]
        select.select([self._wake, *lifelines], [], [], seconds)
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake, 4096)

    def _obey_signals(self) -> None:
        def stop(*_arguments: object) -> None:
            self._stopping = True

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wakened, warn_on_full_buffer=False)


def main() -> None:
    """Be the supervisor of the node that the inherited document describes."""
    try:
        code = Supervisor(inherited(int(sys.argv[2]))).run()
    except (EdgeError, OSError) as error:
        ending = ending_of(error)
        ending.tell()
        code = ending.code
    sys.stdout.flush()
    os._exit(code)
