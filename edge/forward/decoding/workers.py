"""Who decodes for this process: programs that are started when there is work, and ended when they hang.

A codec is C++ that reads what strangers wrote. In a process of its own it cannot stop a lane's heartbeat, cannot take
the node's memory, and takes nobody with it when it dies: an object that kills it twice is for a person.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

import structlog

from edge.forward.decoding.failure import CannotDecode, DecodeLater, NoRoom
from edge.forward.decoding.worker import DISK, DONE, IMPOSSIBLE, MISSING
from edge.transform.failure import Impossible

log = structlog.get_logger(__name__)
FRAME_SECONDS = 60.0
"""How long nothing may come of it: one frame takes a fraction of a second."""
TRIES = 2
"""A codec that died of an object dies of it again; once it may have been something else."""
AT_ONCE = 2
"""Programs that decode for one process at the same time; each may take a core and a frame's memory."""


class _Died(Exception):
    """The program ended, and did not say why."""


class _Gone(Exception):
    """It had waited for work long enough, and went at the moment when there was some."""


class Worker:
    """One such program. Used by one thread at a time."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "edge.forward.decoding.worker", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
            )
        self._line = ours

    def decompress(self, transfer_syntax_uid: str, packed: int, plain: int, patience: float) -> bytes:
        """What it says in the end. Raises _Died, or TimeoutError when nothing comes of it for so long."""
        self._line.settimeout(patience)
        try:
            socket.send_fds(self._line, [transfer_syntax_uid.encode("ascii")], [packed, plain])
            while (said := self._line.recv(4096))[:1] == b"p":
                pass
        except TimeoutError:
            raise
        except OSError:
            raise _Died from None
        if not said:
            raise _Died
        return said

    def alive(self) -> bool:
        """Whether it can be given work."""
        return self._process.poll() is None

    def end(self) -> int:
        """End it, if it has not; what it ended with."""
        self._line.close()
        if self._process.poll() is None:
            self._process.kill()
        return self._process.wait()

    def ended_with(self) -> int:
        """What it ended with by itself: it has closed its line, so it is about to."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(5.0)
        return self.end()


class Workers:
    """Lends them. Any thread may use it."""

    def __init__(self, *, patience: float = FRAME_SECONDS) -> None:
        self._patience = patience
        self._free = threading.BoundedSemaphore(AT_ONCE)
        self._lock = threading.Lock()
        self._idle: list[Worker] = []

    def decompress(self, transfer_syntax_uid: str, packed: int, plain: int) -> None:
        """Decode the data set in one file into the other, which is empty.

        Raises:
            Impossible: the object cannot be decoded, by nobody.
            CannotDecode: not by this node, as it is.
            DecodeLater: not now.
            OSError: the disk failed.
        """
        deaths = 0
        while deaths < TRIES:
            os.ftruncate(plain, 0)
            try:
                said = self._once(transfer_syntax_uid, packed, plain)
            except _Gone:
                continue
            except _Died:
                deaths += 1
                continue
            except TimeoutError:
                raise CannotDecode(
                    f"its decoder needed more than {self._patience:.0f} s for one frame and was ended"
                ) from None
            return _heard(said, transfer_syntax_uid)
        raise CannotDecode(f"its decoder died of it {TRIES} times")

    def close(self) -> None:
        """End those that wait for work."""
        with self._lock:
            idle, self._idle = self._idle, []
        for one in idle:
            one.end()

    def _once(self, transfer_syntax_uid: str, packed: int, plain: int) -> bytes:
        with self._lent() as worker:
            return worker.decompress(transfer_syntax_uid, packed, plain, self._patience)

    @contextlib.contextmanager
    def _lent(self) -> Iterator[Worker]:
        with self._free:
            worker = self._take()
            try:
                yield worker
            except TimeoutError:
                worker.end()
                log.error("decoder.hangs", seconds=self._patience)
                raise
            except _Died:
                code = worker.ended_with()
                if code == 0:
                    raise _Gone from None
                log.error("decoder.died", how=_how(code))
                if code == -signal.SIGKILL:
                    raise DecodeLater("its decoder was killed, perhaps because memory ran out") from None
                raise
            except BaseException:
                worker.end()
                raise
            with self._lock:
                self._idle.append(worker)

    def _take(self) -> Worker:
        while True:
            with self._lock:
                worker = self._idle.pop() if self._idle else None
            if worker is None:
                return Worker()
            if worker.alive():
                return worker
            worker.end()


def _heard(said: bytes, transfer_syntax_uid: str) -> None:
    kind, words = said[:1], said[1:].decode("utf-8", "replace")
    if kind == DONE:
        return
    if kind == MISSING:
        from pydicom.uid import UID

        raise CannotDecode(
            f"this node has no decoder for {UID(transfer_syntax_uid).name}:"
            " install it with `pip install 'skerry[codecs]'`, then `skerry-edge requeue`"
        )
    if kind == DISK and int(words) == errno.ENOSPC:
        raise NoRoom
    if kind == DISK:
        raise OSError(int(words), os.strerror(int(words)))
    raise Impossible(words if kind == IMPOSSIBLE else "its decoder said nothing that we know")


def _how(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"


WORKERS = Workers()
"""Those of this process, so that no number of destinations makes more of them."""
atexit.register(WORKERS.close)
