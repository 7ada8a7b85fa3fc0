"""Who is let in: each refusal has its result, source and reason (PS3.8 Table 9-21), its count and its hint."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests import byte_pdus as pdus
from tests.byte_pdus import Accepted, Rejected
from tests.byte_peer import DEFAULT_CONTEXTS, Answer, BytePeer, associated, echo_seconds
from tests.edge_door import TunedEdge
from tests.edge_samples import data_set

PERMANENT, TRANSIENT = 1, 2
USER, ACSE, PRESENTATION = 1, 2, 3


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """A caller that a setting keeps out, and one that it lets in."""

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    caller: Mapping[str, Any]
    friend: Mapping[str, Any] = field(default_factory=dict)
    answer: Rejected
    hint: str


REFUSALS = [
    Refusal(
        name="rejected-called-ae-title",
        settings={"ae_title": "EDGE07", "require_called_ae_title": True},
        caller={"called": b"SKERRY"},
        friend={"called": b"EDGE07"},
        answer=Rejected(result=PERMANENT, source=USER, reason=7),
        hint="require_called_ae_title",
    ),
    Refusal(
        name="rejected-calling-ae-title",
        settings={"allow_calling": ["CT1", "MR2"]},
        caller={"calling": b"CT11"},
        friend={"calling": b"CT1"},
        answer=Rejected(result=PERMANENT, source=USER, reason=3),
        hint="allow_calling",
    ),
    Refusal(
        name="rejected-protocol-version",
        caller={"version": 2},
        friend={"version": 3},
        answer=Rejected(result=PERMANENT, source=ACSE, reason=2),
        hint="version",
    ),
    Refusal(
        name="rejected-application-context",
        caller={"application_context": "1.2.840.10008.3.1.1.2"},
        answer=Rejected(result=PERMANENT, source=USER, reason=2),
        hint="application context",
    ),
]


@contextlib.contextmanager
def _node(home: Path, **settings: Any) -> Iterator[TunedEdge]:
    with TunedEdge(home, pdu_timeout_seconds=3, artim_timeout_seconds=3, **settings) as edge:
        yield edge
        assert "Traceback" not in edge.log_text()


def _ask(edge: TunedEdge, *, address: str = "127.0.0.1", **options: Any) -> Answer:
    with BytePeer(edge.dicom_port, address=address) as peer:
        return peer.request(pdus.associate_rq(DEFAULT_CONTEXTS, **options))


def _was_told(edge: TunedEdge, name: str, hint: str, *, count: int = 1) -> None:
    edge.wait_ended(name, count=count)
    assert edge.ended(name) == count
    told = [one for one in edge.events("ingest.association_rejected") if one["reason"] == name]
    assert len(told) == count
    assert hint in told[-1]["hint"]
    assert told[-1]["peer_address"].startswith("127.0.0.")


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda one: one.name)
def test_a_caller_that_may_not_come_is_told_why_and_others_come_in(tmp_path: Path, refusal: Refusal) -> None:
    with _node(tmp_path, **refusal.settings) as edge:
        assert _ask(edge, **refusal.caller) == refusal.answer
        assert isinstance(_ask(edge, **refusal.friend), Accepted)
        _was_told(edge, refusal.name, refusal.hint)


def test_a_network_that_is_not_allowed_is_told_so(tmp_path: Path) -> None:
    with _node(tmp_path, allow_networks=["127.0.0.2/32", "10.0.0.0/8"]) as edge:
        assert _ask(edge, address="127.0.0.3") == Rejected(result=PERMANENT, source=USER, reason=1)
        assert isinstance(_ask(edge, address="127.0.0.2"), Accepted)
        _was_told(edge, "rejected-network", "allow_networks")


def test_the_limit_of_all_associations_is_transient_and_over_when_one_ends(tmp_path: Path) -> None:
    with _node(tmp_path, max_associations=4, ingest_processes=2) as edge:
        with contextlib.ExitStack() as opened:
            for number in range(4):
                opened.enter_context(associated(edge.dicom_port, calling=b"CT%d" % number))
            assert _ask(edge) == Rejected(result=TRANSIENT, source=PRESENTATION, reason=2)
            _was_told(edge, "rejected-association-limit", "max_associations")
        edge.wait(lambda: isinstance(_ask(edge), Accepted), "nobody came in any more")


def test_the_limit_of_one_peer_keeps_out_that_peer_and_no_other(tmp_path: Path) -> None:
    with _node(tmp_path, max_associations_per_peer=2, ingest_processes=2) as edge:
        with associated(edge.dicom_port, calling=b"CT1") as first, associated(edge.dicom_port, calling=b"CT1"):
            assert _ask(edge, calling=b"CT1") == Rejected(result=TRANSIENT, source=PRESENTATION, reason=2)
            assert isinstance(_ask(edge, calling=b"CT2"), Accepted)
            assert first.release()
            edge.wait(lambda: isinstance(_ask(edge, calling=b"CT1"), Accepted), "its place was not given back")
        told = [one for one in edge.events("ingest.association_rejected") if one["reason"] == "rejected-peer-limit"]
        assert "max_associations_per_peer" in told[0]["hint"]


def test_a_limit_counts_what_is_open_and_not_what_knocked(tmp_path: Path) -> None:
    """Refused callers, lost ones and silent connections hold no place."""
    with _node(tmp_path, max_associations=2, require_called_ae_title=True, ingest_processes=2) as edge:
        for _ in range(10):
            assert isinstance(_ask(edge, called=b"NOBODY"), Rejected)
        for _ in range(10):
            with associated(edge.dicom_port) as peer:
                peer.reset()
                edge.wait(lambda: edge.metric("skerry_edge_open_associations") == 0, "a lost one holds its place")
        silent = [BytePeer(edge.dicom_port) for _ in range(7)]
        with associated(edge.dicom_port), associated(edge.dicom_port, calling=b"SECOND"):
            assert isinstance(_ask(edge), Rejected)
        for one in silent:
            one.close()


def test_a_disk_below_its_watermark_refuses_instances_and_serves_what_needs_no_room(tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free
    with _node(tmp_path, min_free_bytes=int(free * 1.5)) as edge:
        with associated(edge.dicom_port) as peer:
            assert peer.store("1.2.3.4", data_set("1.2.3.4", body=bytes(3 << 20))) == 0xA700
            assert peer.store("1.2.3.5", data_set("1.2.3.5"), message_id=2) == 0xA700
            assert peer.echo() == 0x0000
            assert peer.release()
        assert edge.metric("skerry_edge_instances_refused_total", reason="spool-full") == 2
        assert "spool-full" in edge.log_text()
        edge.stop()
        edge.tune(min_free_bytes=0)
        edge.start()
        with associated(edge.dicom_port) as peer:
            assert peer.store("1.2.3.4", data_set("1.2.3.4")) == 0x0000


def test_a_disk_that_is_nearly_full_opens_no_association(tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free
    with _node(tmp_path, min_free_bytes=free * 4) as edge:
        assert _ask(edge) == Rejected(result=TRANSIENT, source=PRESENTATION, reason=1)
        _was_told(edge, "rejected-low-disk", "disk")


def test_an_odd_calling_ae_title_reaches_no_log_as_it_is(tmp_path: Path) -> None:
    odd = (b"\x1b[31mRED", b"A\nB", b"\xff\xfe\xfd", b"NUL\0\0\0", b"A" * 16, b"  SPACED  ")
    with _node(tmp_path, allow_calling=["CT1"]) as edge:
        for calling in odd:
            assert _ask(edge, calling=calling) == Rejected(result=PERMANENT, source=USER, reason=3), calling
        told = [str(one["calling_ae_title"]) for one in edge.events("ingest.association_rejected")]
        assert len(told) == len(odd)
        assert all(title.isprintable() and title.isascii() for title in told)


def test_what_is_refused_costs_no_thread_and_no_descriptor(tmp_path: Path) -> None:
    with _node(tmp_path, require_called_ae_title=True) as edge:
        echo = echo_seconds(edge.dicom_port)
        before = edge.footprint()
        peers = [BytePeer(edge.dicom_port) for _ in range(50)]
        request = pdus.associate_rq(DEFAULT_CONTEXTS, called=b"NOBODY")
        assert all(isinstance(peer.request(request), Rejected) for peer in peers)
        assert edge.footprint().threads <= before.threads + 2
        edge.wait(lambda: edge.footprint().descriptors <= before.descriptors + 2, "refused connections stay open")
        for peer in peers:
            peer.close()
        assert echo < 1
