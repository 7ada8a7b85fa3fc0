"""How core hears of what other processes took into custody, without any of them waiting for it.

A notice is a hint that saves time, never the record: what core does not hear of, it finds in the spool when it starts.
So a notice may be lost with the core that read it, and when too many wait, one mark that says "look yourself" stands
for all of them.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import structlog

from edge.buffer.seal import from_microseconds, to_microseconds
from edge.model import AssociationFacts, SealedInstance

log = structlog.get_logger(__name__)
MOST_KEPT = 200_000
"""Notices of some hours without core; more would cost memory and tell it nothing that its own look does not."""
TOGETHER = 256
GATHER_SECONDS = 0.005
BETWEEN_SECONDS = 0.1
"""Core syncs its index once for what one notice tells of, on the disk that answers wait for: under load, seldom."""
AGAIN_SECONDS = 0.2
RECEIVE_BUFFER = 4 << 20
_LARGEST = 1 << 18
_FOLDER, _NAME = "run", "arrivals.sock"
_LOOK_YOURSELF = b"look"


class Arrivals(Protocol):
    """Who is told of an instance in custody."""

    def put(self, sealed: SealedInstance) -> None:
        """Never blocks and never fails: the sealed file is already safe."""


class NoticeSender:
    """Tells core, from another process; keeps what it cannot tell while core is away."""

    def __init__(self, data_dir: Path) -> None:
        self._folder = _run_folder(data_dir)
        self._waiting: deque[SealedInstance] = deque()
        self._overflown = False
        self._some = threading.Event()
        self._told_at = 0.0
        self._stopping = threading.Event()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._thread = threading.Thread(target=self._run, name="notices", daemon=True)

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def stop(self, timeout: float = 1.0) -> None:
        """Send what can be sent within `timeout` seconds; the rest is found in the spool."""
        deadline = time.monotonic() + timeout
        while self._waiting and time.monotonic() < deadline:
            time.sleep(GATHER_SECONDS)
        self._stopping.set()
        self._some.set()
        if self._thread.is_alive():
            self._thread.join(timeout)
        self._socket.close()

    def put(self, sealed: SealedInstance) -> None:
        """See `Arrivals.put`."""
        if len(self._waiting) >= MOST_KEPT:
            self._overflown = True
            return
        self._waiting.append(sealed)
        if not self._some.is_set():
            self._some.set()

    def waiting(self) -> int:
        """Notices that core has not taken yet."""
        return len(self._waiting)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._some.wait()
            self._stopping.wait(max(GATHER_SECONDS, self._told_at + BETWEEN_SECONDS - time.monotonic()))
            self._some.clear()
            self._told_at = time.monotonic()
            try:
                self._send_all()
            except OSError:
                # Core is away, or slower than we: the kernel's queue is full.
                self._stopping.wait(AGAIN_SECONDS)
                self._some.set()

    def _send_all(self) -> None:
        while self._waiting:
            group = [self._waiting[at] for at in range(min(TOGETHER, len(self._waiting)))]
            self._send(json.dumps([_packed(one) for one in group]).encode())
            for _one in group:
                self._waiting.popleft()
        if self._overflown:
            self._send(_LOOK_YOURSELF)
            self._overflown = False

    def _send(self, content: bytes) -> None:
        with _address(self._folder) as address:
            self._socket.sendto(content, socket.MSG_DONTWAIT, address)


class NoticeReceiver:
    """Hears notices in core. Listening begins with `open`, before core looks through the spool for what it missed."""

    def __init__(self, data_dir: Path, arrivals: Arrivals, *, look: Callable[[], None]) -> None:
        """`look` is called, from a thread of ours, when more came than could be told one by one."""
        self._folder, self._arrivals, self._look = _run_folder(data_dir), arrivals, look
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="notices", daemon=True)

    def open(self) -> None:
        """Take the place of the core that was here before. What is sent from now on waits in the kernel."""
        (self._folder / _NAME).unlink(missing_ok=True)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        with _address(self._folder) as address:
            self._socket.bind(address)
        (self._folder / _NAME).chmod(0o600)

    def start(self) -> None:
        """Begin to pass notices on."""
        self._thread.start()

    def alive(self) -> bool:
        """Whether the thread still works."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """End; what is sent from now on is kept by its sender."""
        self._stopping.set()
        (self._folder / _NAME).unlink(missing_ok=True)
        self._socket.shutdown(socket.SHUT_RDWR)
        if self._thread.is_alive():
            self._thread.join()
        self._socket.close()

    def _run(self) -> None:
        while not self._stopping.is_set():
            content = self._socket.recv(_LARGEST)
            if not content:
                continue  # shut down, or nothing to say
            try:
                self._pass_on(content)
            except Exception:
                log.exception("notices.unreadable", hint="The instances are safe; the next start finds them.")

    def _pass_on(self, content: bytes) -> None:
        if content == _LOOK_YOURSELF:
            self._look()
            return
        for packed in json.loads(content):
            self._arrivals.put(_unpacked(packed))


def _packed(sealed: SealedInstance) -> list[object]:
    facts = sealed.facts
    return [
        sealed.instance_id,
        sealed.sop_class_uid,
        sealed.sop_instance_uid,
        sealed.transfer_syntax_uid,
        facts.calling_ae_title,
        facts.called_ae_title,
        facts.peer_address,
        to_microseconds(sealed.received_at),
        sealed.data_set_offset,
        sealed.data_set_length,
        sealed.checksum,
        facts.association,
    ]


def _unpacked(packed: list[str | int]) -> SealedInstance:
    instance_id, sop_class, sop_instance, syntax, calling, called, address = map(str, packed[:7])
    received_at, offset, length, checksum, association = map(int, packed[7:])
    facts = AssociationFacts(
        calling_ae_title=calling, called_ae_title=called, peer_address=address, association=association
    )
    return SealedInstance(
        instance_id=instance_id,
        sop_class_uid=sop_class,
        sop_instance_uid=sop_instance,
        transfer_syntax_uid=syntax,
        facts=facts,
        received_at=from_microseconds(received_at),
        data_set_offset=offset,
        data_set_length=length,
        checksum=checksum,
    )


def _run_folder(data_dir: Path) -> Path:
    folder = data_dir / _FOLDER
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


@contextmanager
def _address(folder: Path) -> Iterator[str]:
    """The socket's name through an open folder: a Unix address has 107 bytes, a data directory may have more."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}/{_NAME}"
    finally:
        os.close(descriptor)
