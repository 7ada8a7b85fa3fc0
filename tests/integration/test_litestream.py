"""Site IT may stream the buffer database with the real litestream, lose the box, and restore it."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import apsw
import pytest

from provisioning.errors import CommandFailed
from provisioning.local.command import own_script, run
from provisioning.local.edge import Edge
from provisioning.local.program import Program
from provisioning.local.storescp import StoreScp
from tests.conftest import Figures
from tests.edge_samples import data_set
from tests.scu import association, store

CONFIG = """\
dbs:
  - path: {database}
    busy-timeout: 5s
    truncate-page-n: 0
    replica:
      url: file://{replica}
      sync-interval: 200ms
"""


def _send(edge: Edge, first: int, last: int) -> None:
    with association(edge.dicom_port) as peer:
        for number in range(first, last + 1):
            uid = f"1.2.77.{number}"
            assert store(peer, uid, data_set(uid), message_id=number) == 0x0000


def _wait_held(edge: Edge, count: int) -> None:
    deadline = time.monotonic() + 20
    while edge.ask("status")["buffer"]["instances_held"] < count:
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.timeout(180)
def test_a_buffer_replicated_by_litestream_is_restored_after_the_box_died(tmp_path: Path, figures: Figures) -> None:
    replica = tmp_path / "replica"
    config = tmp_path / "litestream.yml"
    edge = Edge(tmp_path / "node", to=["NOBODY@127.0.0.1:9"])
    database = edge.data_dir / "edge.db"
    config.write_text(CONFIG.format(database=database, replica=replica))
    litestream = Program(
        name="litestream",
        argv=[own_script("litestream"), "replicate", "-config", str(config)],
        log_dir=tmp_path / "log",
    )
    with edge:
        with litestream:
            _send(edge, 1, 40)
            _wait_held(edge, 40)
            _wait_replicated(database, replica, tmp_path / "probe", 40)
            litestream.kill()
        _send(edge, 41, 60)  # after the last replication: only the spool knows of these
        _wait_held(edge, 60)
        first_epoch = (edge.data_dir / "epoch").read_text()
        edge.kill()
    for path in edge.data_dir.glob("edge.db*"):
        path.unlink()
    shutil.rmtree(edge.data_dir / ".edge.db-litestream", ignore_errors=True)
    run([own_script("litestream"), "restore", "-config", str(config), "-o", str(database), str(database)])
    restored = _rows(database)
    with StoreScp(tmp_path / "pacs", ae_title="NOBODY") as pacs:
        again = Edge(edge.data_dir, name="restored", to=[pacs.address])
        with again:
            _wait_held(again, 60)
            deadline = time.monotonic() + 30
            while len(pacs.received()) < 60 and time.monotonic() < deadline:
                time.sleep(0.2)
        delivered = len(pacs.received())
    assert _integrity(database) == "ok"
    figures(f"litestream: replicated 40, restored {restored}, adopted {60 - restored}, delivered {delivered}")
    assert 40 <= restored < 60
    assert delivered == 60
    assert (edge.data_dir / "epoch").read_text() != first_epoch, "a restored database must count anew"


def _rows(database: Path) -> int:
    connection = apsw.Connection(str(database), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return len(connection.execute("SELECT id FROM instance").fetchall())
    finally:
        connection.close()


def _integrity(database: Path) -> str:
    connection = apsw.Connection(str(database))
    try:
        return str(connection.pragma("integrity_check"))
    finally:
        connection.close()


def _wait_replicated(database: Path, replica: Path, probe: Path, rows: int) -> None:
    """Restore aside until the copy has the rows: the replica's own word, not its log."""
    deadline = time.monotonic() + 30
    while True:
        copy = probe.with_suffix(f".{time.monotonic_ns()}")
        time.sleep(0.5)
        if replica.exists():
            try:
                run([own_script("litestream"), "restore", "-o", str(copy), f"file://{replica}"])
                if _rows(copy) >= rows:
                    return
            except (CommandFailed, apsw.Error):
                pass  # nothing whole is there yet
        assert time.monotonic() < deadline, f"{database} was not replicated in time"
