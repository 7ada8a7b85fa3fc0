"""A DICOMweb destination whose service misbehaves."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.buffer.store import Buffer
from edge.durable import write_durably
from edge.forward.base import Accepted, DestinationDown, Outcome, Refused, TryLater, Unfit
from edge.forward.credentials import Credentials
from edge.forward.dicomweb import DicomWebForwarder
from edge.model import ClaimedDelivery, DicomWebDestination
from provisioning.local.dataset import split_part10
from tests.answering import Answering, interrupted_after_arrival
from tests.edge_samples import data_set, routed, take


@pytest.fixture
def service() -> Iterator[Answering]:
    with Answering() as server:
        yield server


def _forwarder(buffer: Buffer, tmp_path: Path, url: str, *, credentials: str = "", ca: str = "") -> DicomWebForwarder:
    destination = DicomWebDestination(name="d", url=url, credentials=credentials, ca=ca)
    return DicomWebForwarder(destination, buffer.spool, Credentials(tmp_path / "node"), idle_seconds=5)


def _queue(buffer: Buffer, *uids: str) -> list[ClaimedDelivery]:
    buffer.admit([routed(take(buffer, uid), "d") for uid in uids])
    return buffer.claim("d", 100)


def _deliver(forwarder: DicomWebForwarder, deliveries: list[ClaimedDelivery]) -> dict[str, Outcome]:
    outcomes: dict[str, Outcome] = {}
    try:
        forwarder.deliver(deliveries, lambda one, outcome: outcomes.update({one.sealed.sop_instance_uid: outcome}))
    finally:
        forwarder.close()
    return outcomes


def _secret(tmp_path: Path, **content: str) -> None:
    folder = tmp_path / "node" / "credentials"
    folder.mkdir(exist_ok=True)
    write_durably(folder / "peer", json.dumps(content).encode(), mode=0o600)


def test_a_request_is_what_ps3_18_asks_for_and_tells_nothing_of_our_spool(
    buffer: Buffer, tmp_path: Path, service: Answering
) -> None:
    assert isinstance(
        _deliver(_forwarder(buffer, tmp_path, service.url + "/root"), _queue(buffer, "1.2.1"))["1.2.1"], Accepted
    )
    ((path, headers, body),) = service.requests
    assert path == "/root/studies"
    assert headers["Accept"] == "application/dicom+json"
    kind, related, boundary = headers["Content-Type"].split("; ")
    assert (kind, related) == ("multipart/related", 'type="application/dicom"')
    before, part, after = body.split(b"--" + boundary.removeprefix("boundary=").encode())
    assert (before, after) == (b"", b"--\r\n")
    part_head, _, content = part.partition(b"\r\n\r\n")
    assert part_head == b"\r\nContent-Type: application/dicom"
    assert content[:128] == bytes(128)
    assert split_part10(content.removesuffix(b"\r\n")).data_set == data_set("1.2.1")


def test_a_user_and_a_token_travel_in_the_header_and_are_read_again_after_a_refusal(
    buffer: Buffer, tmp_path: Path, service: Answering
) -> None:
    _secret(tmp_path, username="u", password="old")
    forwarder, deliveries = _forwarder(buffer, tmp_path, service.url, credentials="peer"), _queue(buffer, "1.2.1")
    service.status = 401
    with pytest.raises(DestinationDown, match="does not let us store") as caught:
        _deliver(forwarder, deliveries)
    assert "credentials" in caught.value.hint
    _secret(tmp_path, bearer_token="abc")
    service.status = 200
    assert isinstance(_deliver(forwarder, deliveries)["1.2.1"], Accepted)
    sent = [headers["Authorization"] for _path, headers, _body in service.requests]
    assert sent == [f"Basic {base64.b64encode(b'u:old').decode()}", "Bearer abc"]


@pytest.mark.parametrize("token", ["abc\n", "a b", "gr\u00fcn"])
def test_a_token_that_cannot_stand_in_a_header_is_said_and_not_shown(
    buffer: Buffer, tmp_path: Path, service: Answering, token: str
) -> None:
    _secret(tmp_path, bearer_token=token)
    with pytest.raises(DestinationDown, match="token in `peer`") as caught:
        _deliver(_forwarder(buffer, tmp_path, service.url, credentials="peer"), _queue(buffer, "1.2.1"))
    assert token not in f"{caught.value}{caught.value.hint}"
    assert service.requests == []


def test_credentials_that_are_missing_hold_everything_and_nothing_is_sent(
    buffer: Buffer, tmp_path: Path, service: Answering
) -> None:
    with pytest.raises(DestinationDown, match="no file `peer`"):
        _deliver(_forwarder(buffer, tmp_path, service.url, credentials="peer"), _queue(buffer, "1.2.1"))
    assert service.requests == []


def test_one_instance_that_is_refused_does_not_hold_the_others(
    buffer: Buffer, tmp_path: Path, service: Answering
) -> None:
    service.status = 415
    outcomes = _deliver(_forwarder(buffer, tmp_path, service.url), _queue(buffer, "1.2.1", "1.2.2"))
    assert {uid: type(outcome) for uid, outcome in outcomes.items()} == {"1.2.1": Refused, "1.2.2": Refused}


def test_an_instance_on_which_the_service_hangs_up_is_tried_later_and_the_rest_is_given_back(
    buffer: Buffer, tmp_path: Path, service: Answering
) -> None:
    service.hang_up = True
    outcomes: dict[str, Outcome] = {}
    forwarder = _forwarder(buffer, tmp_path, service.url)
    with pytest.raises(DestinationDown, match="it hung up"):
        forwarder.deliver(
            _queue(buffer, "1.2.1", "1.2.2"), lambda one, end: outcomes.update({one.sealed.sop_instance_uid: end})
        )
    assert {uid: type(outcome) for uid, outcome in outcomes.items()} == {"1.2.1": TryLater}


def test_a_service_that_says_nothing_is_given_up(buffer: Buffer, tmp_path: Path, service: Answering) -> None:
    service.hold.clear()
    forwarder = DicomWebForwarder(
        DicomWebDestination(name="d", url=service.url), buffer.spool, Credentials(tmp_path), idle_seconds=0.3
    )
    with pytest.raises(DestinationDown, match="said nothing for too long"):
        _deliver(forwarder, _queue(buffer, "1.2.1"))


def test_an_interrupt_ends_a_request_that_hangs_and_none_begins_any_more(
    buffer: Buffer, tmp_path: Path, service: Answering
) -> None:
    forwarder, deliveries = _forwarder(buffer, tmp_path, service.url), _queue(buffer, "1.2.1")
    begun = time.monotonic()
    with interrupted_after_arrival(service, forwarder.interrupt), pytest.raises(DestinationDown, match="told to stop"):
        _deliver(forwarder, deliveries)
    assert time.monotonic() - begun < 3
    with pytest.raises(DestinationDown, match="told to stop"):
        _deliver(forwarder, deliveries)
    assert len(service.requests) == 1


def test_a_file_that_rotted_behind_its_first_megabytes_is_never_whole_at_the_service(
    buffer: Buffer, tmp_path: Path, service: Answering
) -> None:
    large = take(buffer, "1.2.1", data_set("1.2.1", body=bytes(4_000_000)))
    buffer.admit([routed(large, "d")])
    path = buffer.spool.path(large.instance_id)
    content = bytearray(path.read_bytes())
    content[large.data_set_offset + large.data_set_length - 1] ^= 1
    path.write_bytes(content)
    assert isinstance(_deliver(_forwarder(buffer, tmp_path, service.url), buffer.claim("d", 1))["1.2.1"], Unfit)
    assert all(len(body) < 4_000_000 for _path, _headers, body in service.requests)


def test_an_authority_that_is_named_and_not_there_is_said(buffer: Buffer, tmp_path: Path) -> None:
    with pytest.raises(DestinationDown, match="no file `hospital-ca`"):
        _deliver(_forwarder(buffer, tmp_path, "https://127.0.0.1:1", ca="hospital-ca"), _queue(buffer, "1.2.1"))
