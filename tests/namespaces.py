"""Another host for tests: a network namespace behind a pair of interfaces, and threads that live in it."""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import pytest

T = TypeVar("T")
_CLONE_NEWNET = 0x40000000


class Namespace:
    """One of them."""

    def __init__(self, name: str) -> None:
        self.name = name

    def run(self, work: Callable[[], T]) -> T:
        """What `work` returns or raises, done by a thread whose sockets are those of this host."""
        found: list[T] = []
        failed: list[BaseException] = []

        def enter() -> None:
            try:
                self._enter()
                found.append(work())
            except BaseException as error:
                failed.append(error)

        thread = threading.Thread(target=enter)
        thread.start()
        thread.join()
        if failed:
            raise failed[0]
        return found[0]

    def _enter(self) -> None:
        with Path(f"/run/netns/{self.name}").open("rb") as place:
            if ctypes.CDLL(None, use_errno=True).setns(place.fileno(), _CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")

    def command(self, *words: str) -> Sequence[str]:
        """A command line that runs there."""
        return ("ip", "netns", "exec", self.name, *words)


@contextlib.contextmanager
def namespace(ours: Sequence[str], theirs: Sequence[str]) -> Iterator[Namespace]:
    """A host with `theirs` as its addresses, on a wire with `ours`; each with its prefix length.

    Skipped where nobody may make one, unless everything is required.
    """
    name = f"skn{os.getpid() % 100_000}"
    here, there = f"{name}h", f"{name}t"
    commands = [
        ["ip", "netns", "add", name],
        ["ip", "link", "add", here, "type", "veth", "peer", "name", there, "netns", name],
        *(["ip", "addr", "add", one, "dev", here, *_at_once(one)] for one in ours),
        ["ip", "link", "set", here, "up"],
        *(["ip", "-n", name, "addr", "add", one, "dev", there, *_at_once(one)] for one in theirs),
        ["ip", "-n", name, "link", "set", there, "up"],
        ["ip", "-n", name, "link", "set", "lo", "up"],
    ]
    try:
        for command in commands:
            done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
            if done.returncode != 0:
                message = f"no network namespace can be made here: {done.stderr.strip()}"
                if os.environ.get("SKERRY_REQUIRE_ALL") == "1" and os.geteuid() == 0:
                    pytest.fail(message)
                pytest.skip(message)
        yield Namespace(name)
    finally:
        subprocess.run(["ip", "netns", "del", name], capture_output=True, timeout=20, check=False)
        subprocess.run(["ip", "link", "del", here], capture_output=True, timeout=20, check=False)


def _at_once(address: str) -> list[str]:
    """IPv6 would look for a second owner of the address first."""
    return ["nodad"] if ":" in address else []
