"""The PROXY protocol, versions 1 and 2: a modality behind a balancer keeps its address, and nobody can forge one."""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterator

import pytest

from tests import byte_pdus as pdus
from tests.byte_pdus import Accepted, Rejected
from tests.byte_peer import DEFAULT_CONTEXTS, BytePeer, echo_seconds
from tests.edge_door import TunedEdge
from tests.edge_samples import data_set

BALANCER, STRANGER = "127.0.0.5", "127.0.0.1"
MODALITY = "10.20.30.40"
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
TIMEOUT = 2.0


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TunedEdge]:
    with TunedEdge(
        tmp_path_factory.mktemp("proxy"), proxy_from=[f"{BALANCER}/32"], artim_timeout_seconds=TIMEOUT
    ) as node:
        yield node
        assert "Traceback" not in node.log_text()


def _v1(source: str = MODALITY, family: str = "TCP4") -> bytes:
    return f"PROXY {family} {source} 10.0.0.1 50000 104\r\n".encode()


def _v2(source: str = MODALITY, *, command: int = 1, more: bytes = b"") -> bytes:
    address = ipaddress.ip_address(source)
    family = 0x11 if address.version == 4 else 0x21
    body = address.packed + address.packed + struct.pack(">HH", 50000, 104) + more
    return SIGNATURE + bytes([0x20 | command, family]) + struct.pack(">H", len(body)) + body


HEADERS = {
    "version 1": (_v1(), MODALITY),
    "version 1, IPv6": (_v1("2001:db8::7", "TCP6"), "2001:db8::7"),
    "version 1, unknown": (b"PROXY UNKNOWN\r\n", BALANCER),
    "version 1, unknown with words": (b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", BALANCER),
    "version 2": (_v2(), MODALITY),
    "version 2, IPv6": (_v2("2001:db8::7"), "2001:db8::7"),
    "version 2, TLVs": (_v2(more=b"\x02\0\x05pacs1" + b"\x04\0\x40" + bytes(64)), MODALITY),
    "version 2, local": (_v2(command=0), BALANCER),
    "version 2, unspecified": (SIGNATURE + b"\x21\x00\0\0", BALANCER),
}


@pytest.mark.parametrize("name", HEADERS)
@pytest.mark.parametrize("pieces", [1, 5, 10_000], ids=["byte by byte", "in pieces", "at once"])
def test_the_address_of_the_header_is_the_peers_everywhere(edge: TunedEdge, name: str, pieces: int) -> None:
    header, address = HEADERS[name]
    uid = f"1.2.5.{sorted(HEADERS).index(name)}.{pieces}"
    with BytePeer(edge.dicom_port, address=BALANCER) as peer:
        peer.send_pieces(header + pdus.associate_rq(DEFAULT_CONTEXTS, calling=b"BEHIND"), pieces)
        assert isinstance(peer.answer(), Accepted)
        assert peer.store(uid, data_set(uid)) == 0x0000
        assert peer.release()
    (row,) = edge.held(uid)
    assert row["peer_address"] == address
    assert address.encode() in edge.file_of(uid).read_bytes()[:1_000], "the spool file's meta group names it"


GARBAGE = {
    "no header": pdus.associate_rq(DEFAULT_CONTEXTS),
    "another word": b"PROXI TCP4 10.0.0.1 10.0.0.2 1 2\r\n",
    "an unknown family": b"PROXY UDP4 10.0.0.1 10.0.0.2 1 2\r\n",
    "too few words": b"PROXY TCP4 10.0.0.1\r\n",
    "no address": b"PROXY TCP4 somewhere 10.0.0.2 1 2\r\n",
    "a header without end": b"PROXY TCP4 " + b"1" * 200,
    "a broken signature": SIGNATURE[:-1] + b"X" + bytes(20),
    "an unknown version": SIGNATURE + b"\x31\x11\0\x0c" + bytes(12),
    "an unknown command": SIGNATURE + b"\x2f\x11\0\x0c" + bytes(12),
}


@pytest.mark.parametrize("name", GARBAGE)
def test_a_balancer_that_sends_no_header_is_refused(edge: TunedEdge, name: str) -> None:
    counted = edge.ended("no-proxy-header")
    with BytePeer(edge.dicom_port, address=BALANCER) as peer:
        assert peer.request(GARBAGE[name]) is None
    edge.wait_ended("no-proxy-header", count=counted + 1)
    assert _echo_behind(edge) == 0x0000


def _echo_behind(edge: TunedEdge) -> int:
    """A good association from the balancer: the status of its C-ECHO."""
    with BytePeer(edge.dicom_port, address=BALANCER, hello=_v1()) as peer:
        peer.associate()
        return peer.echo()


@pytest.mark.parametrize("header", [_v1(), _v2()], ids=["version 1", "version 2"])
def test_a_header_from_anybody_else_is_a_forged_address_and_refused(edge: TunedEdge, header: bytes) -> None:
    counted = edge.ended("not-dicom")
    with BytePeer(edge.dicom_port, address=STRANGER, hello=header) as peer:
        assert not isinstance(peer.request(pdus.associate_rq(DEFAULT_CONTEXTS)), Accepted)
    edge.wait_ended("not-dicom", count=counted + 1)
    assert echo_seconds(edge.dicom_port) < 1


@pytest.mark.parametrize("start", [_v1()[:20], _v2()[:20], SIGNATURE[:3], b""], ids=repr)
def test_a_header_that_never_becomes_whole_is_not_waited_for_longer_than_a_request(
    edge: TunedEdge, start: bytes
) -> None:
    counted = edge.ended("never-established")
    with BytePeer(edge.dicom_port, address=BALANCER, seconds=TIMEOUT + 3, hello=start) as peer:
        assert peer.drain() == []
    edge.wait_ended("never-established", count=counted + 1)


def test_networks_are_those_of_modalities_and_not_the_balancers(tmp_path_factory: pytest.TempPathFactory) -> None:
    home = tmp_path_factory.mktemp("proxied-networks")
    with TunedEdge(home, proxy_from=[f"{BALANCER}/32"], allow_networks=["10.20.0.0/16"]) as edge:
        answers = []
        for source in (MODALITY, "10.99.0.1"):
            with BytePeer(edge.dicom_port, address=BALANCER, hello=_v2(source)) as peer:
                answers.append(peer.request(pdus.associate_rq(DEFAULT_CONTEXTS)))
        assert isinstance(answers[0], Accepted)
        assert answers[1] == Rejected(result=1, source=1, reason=1)
        (told,) = edge.events("ingest.association_rejected")
        assert told["peer_address"] == "10.99.0.1"
