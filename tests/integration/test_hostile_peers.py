"""One mad peer at a time: each ends in a named, counted refusal within its time, and harms nobody else."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import pytest

from tests import byte_pdus as pdus
from tests.byte_peer import BytePeer, associated
from tests.edge_door import TunedEdge
from tests.harmless import harmless, node_among_hostile_peers
from tests.hostile_probes import PROBES


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TunedEdge]:
    with node_among_hostile_peers(tmp_path_factory.mktemp("hostile")) as node:
        yield node


@pytest.mark.parametrize("name", PROBES)
def test_a_mad_peer_ends_in_its_named_refusal_and_harms_nobody(edge: TunedEdge, name: str) -> None:
    probe = PROBES[name]
    counted = edge.ended(*probe.outcome)
    with harmless(edge), BytePeer(edge.dicom_port, seconds=probe.within + 3) as peer:
        if probe.associates:
            peer.associate()
        started = time.monotonic()
        with contextlib.suppress(ConnectionError):
            peer.send(probe.raw)
        heard = peer.drain()
        took = time.monotonic() - started
        assert {one.kind for one in heard} <= {pdus.ABORT, pdus.ASSOCIATE_RJ}, "the last word is an A-ABORT or none"
        assert took < probe.within
        edge.wait_ended(*probe.outcome, count=counted + 1)


def test_a_refusal_that_needs_a_person_has_a_hint(edge: TunedEdge) -> None:
    with associated(edge.dicom_port, calling=b"GREEDY") as peer:
        peer.send(b"\x04\x00\xff\xff\xff\xff")
        peer.drain()
        edge.wait(
            lambda: any(
                one.get("calling_ae_title") == "GREEDY" and "larger" in str(one.get("hint"))
                for one in edge.events("ingest.association_ended")
            ),
            "its end was not told",
        )
