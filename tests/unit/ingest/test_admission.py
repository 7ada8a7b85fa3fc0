"""Who may open an association, and what the others are told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.ingest.admission import Crowd, Rules, inside, networks, refuse
from edge.ingest.census import Census
from edge.ingest.proxy import NotProxied, ProxyHeader, read_header
from edge.upper_layer.pdu import APPLICATION_CONTEXT, AssociationRequest

RULES = Rules(
    ae_title="SKERRY",
    require_called_ae_title=True,
    allow_calling=frozenset({"CT1"}),
    allow_networks=networks(["10.0.0.0/8", "fd00::/8"]),
    max_associations=10,
    max_associations_per_peer=3,
)
REQUEST = AssociationRequest(
    protocol_version=1, application_context=APPLICATION_CONTEXT, called_ae_title="SKERRY", calling_ae_title="CT1"
)
CROWD = Crowd(total=0, of_this_peer=0, room_on_disk=True)


def test_who_fulfils_every_rule_comes_in() -> None:
    assert refuse(RULES, REQUEST, "10.1.2.3", CROWD) is None
    assert refuse(RULES, REQUEST, "fd00::7", CROWD) is None
    assert refuse(RULES, REQUEST, "::ffff:10.1.2.3", CROWD) is None


@pytest.mark.parametrize(
    ("request_", "address", "crowd", "name", "answer"),
    [
        (replace(REQUEST, protocol_version=2), "10.0.0.1", CROWD, "rejected-protocol-version", (1, 2, 2)),
        (replace(REQUEST, application_context="1.2"), "10.0.0.1", CROWD, "rejected-application-context", (1, 1, 2)),
        (replace(REQUEST, called_ae_title="PACS"), "10.0.0.1", CROWD, "rejected-called-ae-title", (1, 1, 7)),
        (replace(REQUEST, calling_ae_title="CT2"), "10.0.0.1", CROWD, "rejected-calling-ae-title", (1, 1, 3)),
        (REQUEST, "192.0.2.1", CROWD, "rejected-network", (1, 1, 1)),
        (REQUEST, "no address", CROWD, "rejected-network", (1, 1, 1)),
        (REQUEST, "10.0.0.1", replace(CROWD, total=10), "rejected-association-limit", (2, 3, 2)),
        (REQUEST, "10.0.0.1", replace(CROWD, of_this_peer=3), "rejected-peer-limit", (2, 3, 2)),
        (REQUEST, "10.0.0.1", replace(CROWD, room_on_disk=False), "rejected-low-disk", (2, 3, 1)),
        (REQUEST, "10.0.0.1", replace(CROWD, draining=True), "rejected-draining", (2, 3, 1)),
        (REQUEST, "192.0.2.1", replace(CROWD, draining=True), "rejected-network", (1, 1, 1)),
    ],
)
def test_each_refusal_has_its_name_its_answer_and_a_hint(
    request_: AssociationRequest, address: str, crowd: Crowd, name: str, answer: tuple[int, int, int]
) -> None:
    found = refuse(RULES, request_, address, crowd)
    assert found is not None
    assert (found.name, (found.result, found.source, found.reason)) == (name, answer)
    assert found.hint


def test_empty_lists_let_everybody_in() -> None:
    rules = replace(
        RULES,
        require_called_ae_title=False,
        allow_calling=frozenset(),
        allow_networks=(),
        max_associations_per_peer=0,
    )
    stranger = replace(REQUEST, called_ae_title="X", calling_ae_title="Y")
    assert refuse(rules, stranger, "somewhere", replace(CROWD, of_this_peer=9)) is None


def test_an_address_is_in_a_network_of_its_own_kind_only() -> None:
    assert not inside("10.0.0.1", networks(["fd00::/8"]))
    assert inside("fe80::1%eth0", networks(["fe80::/10"]))


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"PROXY TCP4 10.1.2.3 10.0.0.1 51000 104\r\nrest", ProxyHeader(40, "10.1.2.3")),
        (b"PROXY TCP6 fd00::1 fd00::2 51000 104\r\n", ProxyHeader(38, "fd00::1")),
        (b"PROXY UNKNOWN\r\n", ProxyHeader(15, None)),
        (b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x0a\1\2\3\x0a\0\0\1\xc7\x38\0\x68", ProxyHeader(28, "10.1.2.3")),
        (b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0", ProxyHeader(16, None)),
        (b"\r\n\r\n\0\r\nQUIT\n\x21\0\0\2ab", ProxyHeader(18, None)),
        (b"\r\n\r\n\0\r\nQUIT\n\x21\x21\0\x24\xfd" + bytes(14) + b"\1" + bytes(20), ProxyHeader(52, "fd00::1")),
    ],
)
def test_a_proxy_header_tells_whose_connection_it_is_in_any_pieces(data: bytes, found: ProxyHeader) -> None:
    assert read_header(data) == found
    for cut in range(1, found.length):
        assert read_header(data[:cut]) is None


@pytest.mark.parametrize(
    "data",
    [
        b"\x01\0\0\0",
        b"GET / HTTP/1.1",
        b"PROXY TCP4 300.1.2.3 10.0.0.1 1 2\r\n",
        b"PROXY TCP4 10.1.2.3\r\n",
        b"PROXY " + b"x" * 120,
        b"PROXY\r\n",
        b"\r\n\r\n\0\r\nQUIT\n\x31\0\0\0",
        b"\r\n\r\nnever",
    ],
)
def test_what_will_never_be_a_proxy_header_is_refused(data: bytes) -> None:
    with pytest.raises(NotProxied):
        read_header(data)


@given(data=st.binary(max_size=150))
def test_no_bytes_break_the_reader_of_proxy_headers(data: bytes) -> None:
    for start in (b"", b"PROXY ", b"\r\n\r\n\0\r\nQUIT\n"):
        try:
            read_header(start + data)
        except NotProxied:
            continue


def test_processes_count_together_and_a_restarted_one_begins_at_nothing(tmp_path: Path) -> None:
    one, two = Census(tmp_path / "census", 0), Census(tmp_path / "census", 1)
    for census, peer in ((one, "ct"), (one, "mr"), (two, "ct"), (two, "ct")):
        census.enter(peer)
    assert (one.total(), two.total()) == (4, 4)
    assert (one.of("ct"), one.of("mr"), one.of("us")) == (3, 1, 0)
    two.leave("ct")
    assert one.of("ct") == 2
    again = Census(tmp_path / "census", 0)  # process 0 was killed with two associations open
    assert (again.total(), again.of("mr")) == (1, 0)
    for census in (one, two, again):
        census.close()
