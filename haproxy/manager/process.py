"""HAProxy as a process: checked before it is asked, started on its own feet, found again, and quoted.

It is no child that dies with its parent: it has a session of its own, and a manager that starts finds it by its socket.
It bears a lock through all its reloads, so that a second one is never started beside it (both would get associations).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import structlog

from haproxy.errors import ConfigurationRejected, SocketError
from haproxy.places import Places
from haproxy.sockets.master import Master
from haproxy.sockets.tables import Processes

log = structlog.get_logger(__name__)
CHECK_SECONDS = 30.0
START_SECONDS = 15.0
MOST_LOG_BYTES = 4 << 20
_PREFIX = re.compile(r"^\[(ALERT|WARNING)\]\s+\(\d+\) : ")
_HARMLESS = "Can't get version of the global server state file"


class Haproxy:
    """The one HAProxy of a data directory."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._child: subprocess.Popen[bytes] | None = None
        self.master = Master(places.master_socket)

    @property
    def ours_to_start(self) -> bool:
        """Whether the manager starts it, and not systemd or somebody else."""
        return self._places.attached_master is None

    def find(self) -> Processes | None:
        """The processes of the one that runs; None when none answers."""
        if self._child is not None:
            self._child.poll()  # else a dead one would stay in the table of processes
        try:
            return self.master.processes()
        except SocketError:
            return None

    def lives(self) -> bool:
        """Whether a process of one that a manager started is there, whether it answers or not."""
        if self._child is not None:
            self._child.poll()
        with self._places.haproxy_lock.open("ab") as lock:
            return not _lock(lock.fileno())

    def waken(self) -> None:
        """Let one that lives and does not answer make its sockets anew, for somebody may have removed them."""
        master = self._find_by_command()
        log.warning("haproxy.mute", pid=master)
        if master is not None:
            os.kill(master, signal.SIGUSR2)  # a reload, by the way that needs no socket

    def check(self, path: Path) -> None:
        """Let HAProxy judge a file without running it.

        Raises:
            ConfigurationRejected: with HAProxy's words.
        """
        try:
            done = subprocess.run(
                [self._places.haproxy, "-c", "-f", str(path)],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=CHECK_SECONDS,
                check=False,
            )
        except FileNotFoundError as error:
            raise ConfigurationRejected(
                f"{self._places.haproxy} is not installed, so that nothing can be checked", code="away"
            ) from error
        except subprocess.TimeoutExpired as error:
            raise ConfigurationRejected(f"HAProxy did not judge it within {CHECK_SECONDS:g} s", code="away") from error
        if done.returncode != 0:
            raise ConfigurationRejected(self._quoted((done.stderr + done.stdout).decode("utf-8", "replace")))

    def start(self) -> Processes:
        """Start it with the configuration that is in place; returns when it accepts.

        Raises:
            ConfigurationRejected: it ended again; with its words.
        """
        said = self.log_size()
        listen = f"{self._places.master_socket},mode,600,level,admin"
        command = [self._places.haproxy, "-W", "-db", "-S", listen, "-f", str(self._places.config)]
        with self._places.haproxy_log.open("ab") as log_file, self._places.haproxy_lock.open("ab") as lock:
            os.chmod(log_file.fileno(), 0o600)  # noqa: PTH101  # the file that is open, whatever its name
            if not _lock(lock.fileno()):
                raise ConfigurationRejected("one that does not answer runs already", code="away")
            self._child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log_file,
                stderr=log_file,
                pass_fds=[lock.fileno()],
                start_new_session=True,
                cwd="/",
            )
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            found = self.find()
            if found is not None and found.worker is not None and found.failed == 0 and found.master == self._child.pid:
                log.info("haproxy.started", pid=found.master, version=found.version)
                return found
            if self._child.poll() is not None:
                break
            time.sleep(0.02)
        self._child.kill()
        self._child.wait()
        raise ConfigurationRejected(self.words_since(said) or "HAProxy ended and said nothing", code="reload_failed")

    def stop(self, *, seconds: float = 10.0) -> None:
        """End it and what is open in it: for a machine that goes down, and for trials."""
        found = self.find()
        if found is None:
            return
        os.kill(found.master, signal.SIGTERM)
        deadline = time.monotonic() + seconds
        while self.lives() and time.monotonic() < deadline:
            time.sleep(0.02)

    def let_go(self) -> None:
        """It goes on without this manager: nobody here waits for its end any more."""
        if self._child is not None and self._child.poll() is None:
            self._child.returncode = 0  # else Python complains that a process it started still runs
        self._child = None

    def _find_by_command(self) -> int | None:
        """The master, by what it was started with: among its processes it is the one whose parent is none of them."""
        ours: dict[int, int] = {}
        mark = f"{self._places.master_socket},mode,600".encode()
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError, ValueError, IndexError):
                if any(word.startswith(mark) for word in (folder / "cmdline").read_bytes().split(b"\0")):
                    ours[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        return next((pid for pid, parent in ours.items() if parent not in ours), None)

    def log_size(self) -> int:
        """Where its log ends now; it is begun anew when it is long."""
        try:
            size = self._places.haproxy_log.stat().st_size
            if size > MOST_LOG_BYTES:
                os.truncate(self._places.haproxy_log, 0)
                return 0
        except FileNotFoundError:
            return 0
        return size

    def words_since(self, offset: int) -> str:
        """What it complained of since then; empty where its log is not ours."""
        try:
            with self._places.haproxy_log.open("rb") as stream:
                stream.seek(offset)
                return self._quoted(stream.read(64 << 10).decode("utf-8", "replace"))
        except OSError:
            return ""

    def _quoted(self, text: str) -> str:
        """Its complaints alone, without process numbers and without the paths of this machine."""
        lines = [line for line in text.splitlines() if line.strip() and _HARMLESS not in line]
        alerts = [line for line in lines if line.startswith("[ALERT]")] or lines
        words = "\n".join(_PREFIX.sub("", line) for line in alerts)
        for path in (self._places.candidate, self._places.config):
            words = words.replace(str(path), "haproxy.cfg")
        return words.replace(f"{self._places.data_dir}/", "")[:4000]


def _lock(descriptor: int) -> bool:
    """Whether nobody had it, and it is ours now."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
