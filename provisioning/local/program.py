"""One supervised child process: started, awaited, stopped, and never left behind."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from provisioning.errors import ProgramFailed, ProgramMissing
from provisioning.local.ports import is_open

# Runs between fork and exec as a program of its own instead of a preexec_fn: a preexec_fn runs Python in a forked
# copy of a threaded process (grpc is loaded in tests), which may deadlock. prctl(PR_SET_PDEATHSIG, SIGKILL), and the
# comparison closes the gap in which the parent died before the call.
_LAUNCH = (
    "import ctypes,os,sys\n"
    "ctypes.CDLL(None).prctl(1,9)\n"
    "if os.getppid()!=int(sys.argv[1]): sys.exit('parent is gone')\n"
    "os.execv(sys.argv[2],sys.argv[2:])"
)
READY_SECONDS = 60.0
STOP_SECONDS = 12.0


def find_program(program: str, *, package: str) -> str:
    """The full path of a program of the operating system; Debian's sbin folders count also when PATH lacks them.

    The virtual environment does not: pynetdicom brings programs there with the same names as DCMTK's.

    Raises:
        ProgramMissing: it is not installed; the error names the Debian package.
    """
    own = {str(Path(sys.prefix) / "bin"), str(Path(sys.executable).parent)}
    folders = [*os.environ.get("PATH", "").split(os.pathsep), "/usr/sbin", "/sbin"]
    path = shutil.which(program, path=os.pathsep.join(folder for folder in folders if folder not in own))
    if path is None:
        raise ProgramMissing(program, package)
    return path


def is_installed(program: str) -> bool:
    """Whether `find_program` would find it."""
    try:
        find_program(program, package="")
    except ProgramMissing:
        return False
    return True


class Program:
    """A child in a process group of its own, with its output in files, that dies with its parent.

    Start it from a thread that lives as long as the child should: the kernel watches the starting thread.
    """

    def __init__(self, *, name: str, argv: Sequence[str], log_dir: Path, env: Mapping[str, str] | None = None) -> None:
        self.name = name
        self.argv = tuple(argv)
        self.stdout_path = log_dir / f"{name}.out"
        self.stderr_path = log_dir / f"{name}.log"
        self._env = {**os.environ, **(env or {})}
        self._process: subprocess.Popen[bytes] | None = None
        self._group_gone = False
        log_dir.mkdir(parents=True, exist_ok=True)

    @property
    def pid(self) -> int:
        """The process id; only while or after it ran."""
        assert self._process is not None, f"{self.name} was never started"
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process is there now."""
        return self._process is not None and self._process.poll() is None

    @property
    def returncode(self) -> int | None:
        """How it ended, negative for a signal; None while it runs or before its first start."""
        return None if self._process is None else self._process.poll()

    def start(self) -> None:
        """Start the process; does not wait until it serves. Standard output starts empty, the log is continued."""
        if self.running:
            raise ProgramFailed(f"{self.name} runs already")
        launch = [sys.executable, "-I", "-S", "-c", _LAUNCH, str(os.getpid()), *self.argv]
        self._group_gone = False
        with self.stdout_path.open("wb") as stdout, self.stderr_path.open("ab") as stderr:
            self._process = subprocess.Popen(
                launch, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, env=self._env, start_new_session=True
            )

    def wait_line(self, prefix: str, *, seconds: float = READY_SECONDS) -> str:
        """The first complete line on standard output that starts so.

        Raises:
            ProgramFailed: it ended before, or the time was up; the message has the end of its log.
        """
        deadline = time.monotonic() + seconds
        while True:
            alive = self.running
            for line in self.stdout_path.read_text("utf-8", "replace").splitlines(keepends=True):
                if line.startswith(prefix) and line.endswith("\n"):
                    return line.rstrip("\n")
            self._check(alive, deadline, f"print a line '{prefix}…'")
            time.sleep(0.02)

    def wait_port(self, port: int, *, seconds: float = READY_SECONDS) -> None:
        """Return once the port accepts connections.

        Raises:
            ProgramFailed: it ended before, or the time was up.
        """
        deadline = time.monotonic() + seconds
        while not is_open(port):
            self._check(self.running, deadline, f"listen on port {port}")
            time.sleep(0.02)
        # Somebody else may hold the port while our child failed to bind it.
        self._check(self.running, deadline, f"listen on port {port}")

    def wait_end(self, *, seconds: float) -> int:
        """How it ended.

        Raises:
            ProgramFailed: it still ran when the time was up.
        """
        assert self._process is not None, f"{self.name} was never started"
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise ProgramFailed(f"{self.name} did not end within {seconds:g} s\n{self.log_end()}") from None

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal to the process itself (not to its children)."""
        if self._process is not None:
            self._process.send_signal(number)

    def ask_to_stop(self) -> None:
        """SIGTERM, without waiting for the end."""
        if self.running:
            self.send_signal(signal.SIGTERM)

    def stop(self, *, seconds: float = STOP_SECONDS) -> int | None:
        """SIGTERM, then SIGKILL to its whole group when it still runs after the time. Returns how it ended."""
        if self._process is None:
            return None
        if self._process.poll() is None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(seconds)
        self.kill()
        return self._process.returncode

    def kill(self) -> None:
        """SIGKILL to the process and to every child in its group, as a power cut would."""
        if self._process is None or self._group_gone:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._group_gone = True  # from here on the number may belong to somebody else

    def log_text(self) -> str:
        """Everything on its standard error since the first start."""
        return self.stderr_path.read_text("utf-8", "replace") if self.stderr_path.exists() else ""

    def log_end(self, lines: int = 25) -> str:
        """The last lines of its log, for messages."""
        return "\n".join(f"  {self.name}| {line}" for line in self.log_text().splitlines()[-lines:])

    def _check(self, alive: bool, deadline: float, expectation: str) -> None:
        if not alive:
            raise ProgramFailed(
                f"{self.name} ended with {self.returncode} before it could {expectation}\n{self.log_end()}"
            )
        if time.monotonic() >= deadline:
            raise ProgramFailed(f"{self.name} did not {expectation} in time\n{self.log_end()}")

    def __enter__(self) -> Self:
        if not self.running:
            self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
