"""A node that should get nothing leaves the pool within five seconds, and returns by itself when it is well."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioning.local.ports import LOOPBACK, free_port
from tests.conftest import Figures
from tests.edge_door import TunedEdge
from tests.edge_processes import pid_of
from tests.pool_site import PoolSite, pool_site
from tests.small_disk import fill, mounted

LIMIT_SECONDS = 5.0
BACK_SECONDS = 15.0
pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[PoolSite]:
    # The checks as they are by default: every two seconds.
    with pool_site(tmp_path, check_seconds=2) as site:
        yield site


def leaves_and_returns(
    site: PoolSite, figures: Figures, what: str, trouble: contextlib.AbstractContextManager[None]
) -> None:
    with trouble:
        left = site.wait_working("box-2", seconds=LIMIT_SECONDS + 5)
    back = site.wait_working("box-1", "box-2", seconds=BACK_SECONDS)
    figures(f"pool: a node {what} left after {left:.1f} s, and was back {back:.1f} s after it was well")
    assert left < LIMIT_SECONDS


def test_a_node_whose_core_stands_still_leaves(site: PoolSite, figures: Figures) -> None:
    @contextlib.contextmanager
    def stands_still() -> Iterator[None]:
        pid = pid_of(site.nodes["box-1"], "core")
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    leaves_and_returns(site, figures, "whose writer hangs", stands_still())


def test_a_node_whose_disk_is_low_leaves(tmp_path: Path, figures: Figures) -> None:
    @contextlib.contextmanager
    def low(disk: Path) -> Iterator[None]:
        filler = fill(disk, leave=9 << 20)
        try:
            yield
        finally:
            filler.unlink()

    with (
        mounted(tmp_path) as disk,
        pool_site(tmp_path, check_seconds=2, homes={"box-1": disk / "home"}, min_free_bytes=10 << 20) as site,
    ):
        leaves_and_returns(site, figures, "whose disk is low", low(disk))


def test_a_node_that_a_person_drains_leaves(site: PoolSite, figures: Figures) -> None:
    @contextlib.contextmanager
    def drained() -> Iterator[None]:
        site.nodes["box-1"].command("drain")
        try:
            yield
        finally:
            site.nodes["box-1"].command("drain", "--end")

    leaves_and_returns(site, figures, "that drains", drained())


class Door:
    """Stands before a node's DICOM port: passes everything on, or answers what is no DICOM."""

    def __init__(self) -> None:
        self._listener = socket.create_server((LOOPBACK, 0))
        self.port: int = self._listener.getsockname()[1]
        self.leads_to = 0
        self.garbage = False
        threading.Thread(target=self._run, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _run(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(10)
            if self.garbage:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.0 200 OK\r\n\r\nwell")
                return
            with socket.create_connection((LOOPBACK, self.leads_to), timeout=10) as node:
                back = threading.Thread(target=self._pass_on, args=(node, connection), daemon=True)
                back.start()
                self._pass_on(connection, node)
                back.join(10)

    @staticmethod
    def _pass_on(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while content := source.recv(1 << 16):
                sink.sendall(content)
            sink.shutdown(socket.SHUT_WR)


def test_a_node_whose_port_answers_garbage_leaves(tmp_path: Path, figures: Figures) -> None:
    @contextlib.contextmanager
    def garbage(door: Door) -> Iterator[None]:
        door.garbage = True
        try:
            yield
        finally:
            door.garbage = False

    with (
        contextlib.closing(Door()) as door,
        pool_site(
            tmp_path,
            check_seconds=2,
            doors={"box-1": door.port},
            before=lambda site: setattr(door, "leads_to", site.nodes["box-1"].dicom_port),
        ) as site,
    ):
        leaves_and_returns(site, figures, "whose port answers garbage", garbage(door))


def test_an_agent_answers_its_balancers_and_nobody_else(tmp_path: Path) -> None:
    port = free_port()
    with TunedEdge(tmp_path, agent=f"0.0.0.0:{port}", proxy_from=["127.0.0.5"]):
        for host in (LOOPBACK, "127.0.0.5"):
            with socket.create_connection((LOOPBACK, port), timeout=5, source_address=(host, 0)) as connection:
                assert connection.recv(100) == b"ready up 100%\n"
        with (
            _own_address() as own,
            socket.create_connection((own, port), timeout=5, source_address=(own, 0)) as stranger,
        ):
            assert stranger.recv(100) == b""


@contextlib.contextmanager
def _own_address() -> Iterator[str]:
    """An address of this machine that is neither loopback's nor a balancer's."""
    own = subprocess.run(["hostname", "-I"], capture_output=True, text=True, check=False, timeout=10).stdout.split()
    if not own:
        pytest.skip("this machine has loopback only")
    yield own[0]
