"""What the door does with peers and objects that are not as they should be: says it, counts it, loses nothing."""

from __future__ import annotations

import re
import shutil
import signal
import socket
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.upper_layer.command import store_request
from edge.upper_layer.pdu import P_DATA_HEADER, P_DATA_TF, command_pdus
from provisioning.local.edge import Edge
from tests.edge_samples import CT, data_set
from tests.scu import association, store


@pytest.fixture
def edge(tmp_path: Path) -> Iterator[Edge]:
    with Edge(tmp_path / "node") as node:
        yield node


def _metric(edge: Edge, name: str, labels: str = "") -> float:
    with urllib.request.urlopen(f"{edge.http_url}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    found = re.search(rf"^{re.escape(name + labels)} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def _wait_metric(edge: Edge, name: str, labels: str = "", above: float = 0.0) -> None:
    deadline = time.monotonic() + 10
    while _metric(edge, name, labels) <= above:
        assert time.monotonic() < deadline, f"{name}{labels} never rose\n{edge.log_end()}"
        time.sleep(0.1)


def _serves(edge: Edge) -> bool:
    with association(edge.dicom_port) as peer:
        return store(peer, "1.2.3.99", data_set("1.2.3.99")) == 0x0000


@pytest.mark.parametrize("greeting", [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\x00\x01", b"\0" * 64])
def test_a_connection_that_is_not_dicom_is_ended_and_counted(edge: Edge, greeting: bytes) -> None:
    with socket.create_connection(("127.0.0.1", edge.dicom_port), timeout=10) as peer:
        peer.sendall(greeting)
        peer.shutdown(socket.SHUT_WR)
        while peer.recv(4096):
            pass
    _wait_metric(edge, "skerry_edge_associations_total", '{outcome="not-dicom"}')
    assert _serves(edge)


def test_a_request_without_a_sop_instance_uid_is_answered_and_the_association_goes_on(edge: Edge) -> None:
    with association(edge.dicom_port) as peer:
        assert store(peer, None, data_set()) == 0x0117
        assert store(peer, "1.2.3.4", data_set("1.2.3.4"), message_id=2) == 0x0000
    assert _metric(edge, "skerry_edge_instances_refused_total", '{reason="no-sop-instance-uid"}') == 1
    assert "names no SOP Instance UID" in edge.log_text()
    assert edge.ask("status")["buffer"]["instances_held"] == 1


def test_an_object_whose_data_set_has_no_uids_is_kept_and_flagged(edge: Edge) -> None:
    with association(edge.dicom_port) as peer:
        assert store(peer, "1.2.3.4", b"\x08\x00\x60\x00CS\x02\x00CT") == 0x0000
    (found,) = _trace(edge, "1.2.3.4")
    assert "missing:StudyInstanceUID" in found["flags"]


def test_an_object_cut_off_by_a_lost_connection_is_discarded_counted_and_never_acknowledged(edge: Edge) -> None:
    content = data_set("1.2.3.4", body=bytes(3_000_000))
    with association(edge.dicom_port) as peer:
        whole = store(peer, "1.2.3.5", data_set("1.2.3.5"))
        raw: socket.socket = peer.dul.socket.socket
        command = store_request(message_id=9, sop_class_uid=CT, sop_instance_uid="1.2.3.4")
        raw.sendall(command_pdus(1, command, 16_384))
        # A P-DATA-TF PDU that announces far more than it brings (PS3.8 section 9.3.5), then silence.
        raw.sendall(P_DATA_HEADER.pack(P_DATA_TF, 200_000, 199_996, 1, 2) + content[:50_000])
        raw.shutdown(socket.SHUT_RDWR)
    assert whole == 0x0000
    _wait_metric(edge, "skerry_edge_associations_total", '{outcome="connection-lost"}')
    assert _metric(edge, "skerry_edge_partial_objects_total") == 1
    assert [found["sop_instance_uid"] for found in _trace(edge, "1.2.3")] == ["1.2.3.5"]
    assert _serves(edge)


@pytest.mark.filterwarnings("ignore:The value length")
def test_a_uid_that_is_too_long_is_answered_and_the_door_stays_open(edge: Edge) -> None:
    with association(edge.dicom_port) as peer:
        assert store(peer, None, data_set(), raw_uid="1." * 33) == 0x0117
    assert _metric(edge, "skerry_edge_instances_refused_total", '{reason="long-sop-instance-uid"}') == 1
    assert _serves(edge)


def _half_pdu(edge: Edge) -> socket.socket:
    peer = socket.create_connection(("127.0.0.1", edge.dicom_port), timeout=10)
    peer.sendall(b"\x01\x00\x00")  # three bytes of an A-ASSOCIATE-RQ, and no more
    return peer


def test_peers_that_stop_inside_a_pdu_hold_no_place_and_are_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SKERRY_EDGE_MAX_ASSOCIATIONS", "5")
    monkeypatch.setenv("SKERRY_EDGE_ARTIM_TIMEOUT_SECONDS", "2")
    with Edge(tmp_path / "node") as edge:
        peers = [_half_pdu(edge) for _ in range(15)]
        started = time.monotonic()
        assert _serves(edge)
        assert time.monotonic() - started < 1.5
        for peer in peers:
            with peer:
                assert peer.recv(1) == b""
        assert time.monotonic() - started < 8
        assert _serves(edge)


def test_more_connections_than_there_is_room_for_are_closed_and_the_door_opens_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SKERRY_EDGE_MAX_ASSOCIATIONS", "3")
    with Edge(tmp_path / "node") as edge:
        peers = [_half_pdu(edge) for _ in range(30)]
        _wait_metric(edge, "skerry_edge_associations_total", '{outcome="turned-away"}')
        for peer in peers:
            peer.close()
        deadline = time.monotonic() + 10
        while not _serves(edge):
            assert time.monotonic() < deadline
            time.sleep(0.2)


def test_a_peer_cut_off_inside_a_pdu_does_not_hold_up_the_end(edge: Edge) -> None:
    with _half_pdu(edge), association(edge.dicom_port) as peer:
        raw: socket.socket = peer.dul.socket.socket
        raw.sendall(b"\x04\x00" + (100_000).to_bytes(4, "big") + b"\0" * 1000)
        time.sleep(0.3)
        started = time.monotonic()
        edge.send_signal(signal.SIGTERM)
        assert edge.wait_end(seconds=10) == 0
        assert time.monotonic() - started < 8


@pytest.mark.parametrize(
    "pdv",
    [
        b"\x00\x00\x00\x06\x00\x03garb",  # presentation context 0
        b"\x00\x00\x00\x06\x02\x03garb",  # an even presentation context
        b"\x00\x00\x00\x06\x01\x03garb",  # a command set that is none
    ],
)
def test_garbage_inside_an_association_ends_only_that_association(edge: Edge, pdv: bytes) -> None:
    with association(edge.dicom_port) as peer:
        raw: socket.socket = peer.dul.socket.socket
        raw.sendall(b"\x04\x00" + len(pdv).to_bytes(4, "big") + pdv)
        time.sleep(0.5)
        assert _serves(edge)
    assert _serves(edge)


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
@pytest.mark.parametrize("uid", ["../../../etc/passwd", "1.2/../../3", "..", "a" * 64])
def test_a_uid_with_path_characters_is_only_ever_text(edge: Edge, uid: str) -> None:
    with association(edge.dicom_port) as peer:
        assert store(peer, uid, data_set(uid)) == 0x0000
    (found,) = _trace(edge, uid)
    names = [path.name for path in edge.data_dir.rglob("*.dcm")]
    assert names == [f"{found['instance_id'][:16]}.dcm"]
    assert "invalid-uid:SOPInstanceUID" in found["flags"]
    assert _metric(edge, "skerry_edge_instances_flagged_total", '{flag="invalid-uid"}') >= 1


def test_a_character_set_that_nobody_knows_stops_nothing(edge: Edge) -> None:
    odd = b"\x08\x00\x05\x00CS\x0a\x00ISO_IR 999" + data_set("1.2.3.4")
    with association(edge.dicom_port) as peer:
        assert store(peer, "1.2.3.4", odd) == 0x0000
    (found,) = _trace(edge, "1.2.3.4")
    assert found["study_instance_uid"] == "1.2.3"


def test_a_disk_under_its_watermark_closes_the_door_with_0xa700_and_opens_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SKERRY_EDGE_MIN_FREE_BYTES", str(shutil.disk_usage(tmp_path).free * 3 // 2))
    with Edge(tmp_path / "node") as edge:
        with association(edge.dicom_port) as peer:
            assert store(peer, "1.2.3.4", data_set()) == 0xA700
            assert peer.send_c_echo().Status == 0x0000
        assert _metric(edge, "skerry_edge_instances_refused_total", '{reason="spool-full"}') == 1
        assert "spool-full" in edge.log_text()
        with pytest.raises(urllib.error.HTTPError, match="503"):
            urllib.request.urlopen(f"{edge.http_url}/readyz", timeout=5)
        edge.stop()
        monkeypatch.delenv("SKERRY_EDGE_MIN_FREE_BYTES")
    with Edge(tmp_path / "node") as reopened:
        assert _serves(reopened)


def _trace(edge: Edge, uid: str) -> list[dict[str, Any]]:
    deadline = time.monotonic() + 10
    while edge.ask("status")["buffer"]["instances_held"] == 0 and time.monotonic() < deadline:
        time.sleep(0.1)
    found: list[dict[str, Any]] = edge.ask("trace", uid)
    return found
