"""A folder destination when single files, the whole mount, or another writer stand in its way."""

from __future__ import annotations

import errno
import os
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from edge.buffer.store import Buffer
from edge.forward import folder as folder_module
from edge.forward.base import Accepted, DestinationDown, Outcome, TryLater
from edge.forward.folder import FolderForwarder
from edge.model import ClaimedDelivery, FolderDestination
from tests.edge_samples import data_set, routed, take


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    made = tmp_path / "archive"
    made.mkdir()
    return made


def _forwarder(archive: Path, buffer: Buffer, name: str = "d") -> FolderForwarder:
    return FolderForwarder(FolderDestination(name=name, path=str(archive)), buffer.spool)


def _queue(buffer: Buffer, *studies: str) -> list[ClaimedDelivery]:
    buffer.admit(
        [replace(routed(take(buffer, f"1.2.3.{n}"), "d"), study_instance_uid=study) for n, study in enumerate(studies)]
    )
    return buffer.claim("d", 100)


def _deliver(forwarder: FolderForwarder, deliveries: list[ClaimedDelivery]) -> list[Outcome]:
    outcomes: list[Outcome] = []
    forwarder.deliver(deliveries, lambda _delivery, outcome: outcomes.append(outcome))
    return outcomes


def test_one_study_folder_that_is_blocked_holds_only_its_own_instances(buffer: Buffer, archive: Path) -> None:
    (archive / "1.1.1").write_bytes(b"")
    first, second, third = _deliver(_forwarder(archive, buffer), _queue(buffer, "1.1.1", "2.2.2", "3.3.3"))
    assert isinstance(first, TryLater)
    assert "Not a directory" in first.reason or "File exists" in first.reason
    assert isinstance(second, Accepted)
    assert isinstance(third, Accepted)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ESTALE])
def test_an_error_of_the_whole_mount_is_the_destination_down_and_settles_nothing(
    buffer: Buffer, archive: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def fails(_path: Path) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(folder_module, "sync_directory", fails)
    settled: list[Outcome] = []
    with pytest.raises(DestinationDown, match=os.strerror(code)):
        _forwarder(archive, buffer).deliver(_queue(buffer, "1.1.1"), lambda _one, outcome: settled.append(outcome))
    assert settled == []


def test_a_root_that_goes_while_a_batch_runs_is_the_destination_down(buffer: Buffer, archive: Path) -> None:
    def settle(_delivery: ClaimedDelivery, _outcome: Outcome) -> None:
        archive.rename(archive.with_name("away"))
        archive.write_bytes(b"")

    with pytest.raises(DestinationDown):
        _forwarder(archive, buffer).deliver(_queue(buffer, "1.1.1", "2.2.2"), settle)


def test_what_is_already_there_is_synced_before_it_counts(
    buffer: Buffer, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliveries = _queue(buffer, "1.1.1")
    _deliver(_forwarder(archive, buffer), deliveries)
    synced: list[Path] = []
    monkeypatch.setattr(folder_module, "sync_directory", synced.append)
    assert _deliver(_forwarder(archive, buffer), deliveries) == [Accepted(note="already there")]
    (written,) = archive.rglob("*.dcm")
    assert set(synced) >= {written.parent, written.parent.parent, archive}


@pytest.mark.parametrize("links", [True, False])
def test_lanes_that_write_different_objects_under_one_uid_overwrite_nothing(
    buffer: Buffer, archive: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    if not links:

        def no_links(*_args: object, **_kinds: object) -> None:
            raise PermissionError(errno.EPERM, "no links on this file system")

        monkeypatch.setattr(os, "link", no_links)
    bodies = [bytes([n]) * 50_000 for n in range(6)]
    buffer.admit([routed(take(buffer, "1.2.3", data_set("1.2.3", body=body)), "d") for body in bodies])
    deliveries = buffer.claim("d", 10)
    together = threading.Barrier(len(deliveries))

    def write(delivery: ClaimedDelivery, name: str) -> None:
        together.wait()
        _deliver(_forwarder(archive, buffer, name), [delivery])

    threads = [threading.Thread(target=write, args=(one, f"d{n}")) for n, one in enumerate(deliveries)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = {path.read_bytes()[-50_000:] for path in archive.rglob("*.dcm")}
    assert found == set(bodies)
    assert list(archive.rglob("*.part")) == []


def test_what_an_earlier_try_left_half_written_is_removed(buffer: Buffer, archive: Path) -> None:
    forwarder = _forwarder(archive, buffer)
    _queue(buffer, "1.1.1")
    buffer.recover()
    (again,) = buffer.claim("d", 10)
    folder = archive / "1.1.1" / again.series_instance_uid
    folder.mkdir(parents=True)
    (folder / f".{again.sealed.instance_id}.0011223344556677.part").write_bytes(b"half")
    assert _deliver(forwarder, [again]) == [Accepted()]
    assert [path.suffix for path in folder.iterdir()] == [".dcm"]
