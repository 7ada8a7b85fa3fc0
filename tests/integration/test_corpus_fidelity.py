"""Every corpus file that DCMTK can send is accepted, and leaves as it arrived, byte for byte."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import itertools
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from edge.buffer.database import open_reader
from provisioning.errors import CommandFailed
from provisioning.local.dataset import Part10, read_part10
from provisioning.local.dcmsend import send
from provisioning.local.edge import Edge
from provisioning.local.storescp import StoreScp
from tests.conftest import Figures
from tests.dicom_corpus import corpus_files

Fingerprint = tuple[str, str, str, str]
"""SOP class, SOP instance, transfer syntax, and the hash of the data set's bytes."""


@pytest.mark.timeout(600)
def test_the_whole_corpus_is_accepted_and_leaves_byte_for_byte(tmp_path: Path, figures: Figures) -> None:
    """Two destinations: DCMTK's storescp, and a second node, which also takes the syntaxes that DCMTK refuses."""
    files = corpus_files("dev")
    sink = Edge(tmp_path / "sink", name="sink")
    with StoreScp(tmp_path / "reference") as reference, StoreScp(tmp_path / "pacs") as pacs, sink:
        sendable = _send(files, reference.port)
        edge = Edge(tmp_path / "node", to=[pacs.address, f"SINK@127.0.0.1:{sink.dicom_port}"])
        with edge:
            accepted = _send(files, edge.dicom_port)
            _indexed(edge, len(accepted))
            arrived = _spooled(edge)
            left = _wait_for(sink, arrived.total())
            parked = _wait_for_pacs(edge)
        plain = _stored(reference)
        delivered = _stored(pacs)
    comparable = _comparable(arrived, plain)
    figures(
        f"corpus: files {len(files)} DCMTK-can-send {len(sendable)} accepted {len(accepted)} "
        f"arrivals {arrived.total()} left-identical {(arrived & left).total()} "
        f"refused-by-storescp {len(parked)} identical-at-storescp {len(delivered & arrived.keys())}; "
        f"as-at-a-plain-receiver {len(comparable & plain)} of {len(comparable)}"
    )
    assert len(sendable) > 200
    assert sendable <= accepted
    assert arrived.total() > 200
    assert left == arrived
    assert comparable <= plain
    assert delivered <= arrived.keys()
    assert all("does not accept" in reason for reason in parked)


def _send(files: list[Path], port: int) -> set[Path]:
    """The files that were answered with success; one that DCMTK cannot send stops no other."""
    done: set[Path] = set()
    for _folder, group in itertools.groupby(files, key=lambda path: path.parent):
        together = list(group)
        done |= _send_together(together, port)
        for path in together:
            if path not in done:
                done |= _send_together([path], port)
    return done


def _send_together(files: list[Path], port: int) -> set[Path]:
    try:
        return {one.path for one in send(files, port=port).succeeded}
    except CommandFailed:
        return set()  # DCMTK can read none of them


def _fingerprint(part: Part10) -> Fingerprint:
    digest = hashlib.sha256(part.data_set).hexdigest()
    return part.sop_class_uid, part.sop_instance_uid, part.transfer_syntax_uid, digest


def _comparable(arrived: Counter[Fingerprint], plain: set[Fingerprint]) -> set[Fingerprint]:
    """Arrivals that DCMTK sent in the same syntax to a plain receiver, which keeps only the last of each UID."""
    arrivals_of = Counter(one[1] for one in arrived.elements())
    kinds = {one[:3] for one in plain}
    return {one for one in arrived if arrivals_of[one[1]] == 1 and one[:3] in kinds}


def _spooled(edge: Edge) -> Counter[Fingerprint]:
    """What the node holds by its own index, with the bytes that lie in the spool; what came twice counts once."""
    found: Counter[Fingerprint] = Counter()
    with contextlib.closing(open_reader(edge.data_dir / "edge.db")) as connection:
        query = "SELECT instance_id, data_set_length FROM instance WHERE released_at IS NULL"
        rows: list[Any] = connection.execute(query).fetchall()
    for instance_id, length in rows:
        (path,) = edge.data_dir.glob(f"spool/{instance_id[:8]}/{instance_id[:16]}.dcm")
        part = read_part10(path)
        found[_fingerprint(dataclasses.replace(part, data_set=part.data_set[:length]))] += 1
    return found


def _indexed(edge: Edge, at_least: int) -> None:
    """Return when as many instances as were accepted have their rows."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with contextlib.closing(open_reader(edge.data_dir / "edge.db")) as connection:
            rows: list[Any] = connection.execute("SELECT count(*) FROM instance").fetchall()
        if rows[0][0] >= at_least:
            return
        time.sleep(0.2)
    raise AssertionError("accepted instances have no rows")


def _stored(pacs: StoreScp) -> set[Fingerprint]:
    return {_fingerprint(part) for part in pacs.received().values()}


def _wait_for(sink: Edge, arrivals: int) -> Counter[Fingerprint]:
    deadline = time.monotonic() + 90
    while sink.ask("status")["buffer"]["instances_held"] < arrivals and time.monotonic() < deadline:
        time.sleep(0.5)
    return _spooled(sink)


def _wait_for_pacs(edge: Edge) -> list[str]:
    """Wait until nothing is on its way any more; the reasons of what DCMTK refused."""
    deadline = time.monotonic() + 60
    while edge.ask("status")["buffer"]["deliveries_waiting"] and time.monotonic() < deadline:
        time.sleep(0.5)
    return [one["reason"] for one in edge.ask("queue", "--limit", "1000")]
