"""QIDO-RS after sending, with services that answer wrongly or not at all: never a false yes, never a hang."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.buffer.store import Buffer
from edge.forward.base import DestinationDown
from edge.forward.credentials import Credentials
from edge.forward.dicomweb import DicomWebForwarder
from edge.forward.qido import PAGE, QidoAsker
from edge.model import DicomWebDestination
from tests.answering import Answering

WANTED = frozenset({"1.2.1", "1.2.2"})


@pytest.fixture
def service() -> Iterator[Answering]:
    with Answering() as server:
        yield server


@pytest.fixture
def asker(tmp_path: Path, service: Answering) -> Iterator[QidoAsker]:
    buffer = Buffer(tmp_path / "node")
    destination = DicomWebDestination(name="d", url=service.url + "/root", verify="qido")
    opened = QidoAsker(DicomWebForwarder(destination, buffer.spool, Credentials(tmp_path / "node"), idle_seconds=5))
    yield opened
    opened.rest()
    buffer.close()


def _listed(*uids: str) -> bytes:
    return json.dumps([{"00080018": {"vr": "UI", "Value": [uid]}} for uid in uids]).encode()


def test_only_what_was_asked_for_and_is_listed_counts(asker: QidoAsker, service: Answering) -> None:
    service.body = _listed("1.2.1", "1.2.77")
    assert asker.held("1.2.3", "1.2.9", WANTED) == {"1.2.1"}
    path, headers, _body = service.requests[0]
    assert path == f"/root/studies/1.2.3/series/1.2.9/instances?includefield=00080018&limit={PAGE}&offset=0"
    assert headers["Accept"] == "application/dicom+json"


def test_a_service_that_pays_no_attention_to_pages_is_asked_for_no_third_one(
    asker: QidoAsker, service: Answering
) -> None:
    service.body = _listed("1.2.1", "1.2.77")
    asker.held("1.2.3", "1.2.9", WANTED)
    assert len(service.requests) == 2


def test_a_service_that_tells_more_of_each_image_than_it_was_asked_for_is_heard_out(
    asker: QidoAsker, service: Answering
) -> None:
    more = {"00081030": {"vr": "LO", "Value": ["of a study " * 2_000]}}
    service.body = json.dumps(
        [{**one, **more} for one in json.loads(_listed(*(f"1.2.{n}" for n in range(PAGE))))]
    ).encode()
    assert len(service.body) > 4_000_000
    assert asker.held("1.2.3", "1.2.9", WANTED) == WANTED


def test_no_page_is_asked_for_when_everything_was_listed(asker: QidoAsker, service: Answering) -> None:
    service.body = _listed("1.2.2", "1.2.1")
    assert asker.held("1.2.3", "1.2.9", WANTED) == WANTED
    assert len(service.requests) == 1


@pytest.mark.parametrize("status", [204, 404])
def test_a_study_that_it_does_not_know_is_an_answer(asker: QidoAsker, service: Answering, status: int) -> None:
    service.status = status
    assert asker.held("1.2.3", "1.2.9", WANTED) == set()


@pytest.mark.parametrize("status", [301, 400, 401, 403, 500, 503])
def test_a_refusal_is_none(asker: QidoAsker, service: Answering, status: int) -> None:
    service.status, service.body = status, _listed(*WANTED)
    with pytest.raises(DestinationDown, match=f"it answers QIDO-RS with {status}"):
        asker.held("1.2.3", "1.2.9", WANTED)


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>Sign in</html>", b"{}x", b'{"a": 1}', b"[1]", b'[{"00080018": {"vr": "UI"}}]', b"[" * 100_000],
)
def test_what_is_no_dicom_json_is_no_answer(asker: QidoAsker, service: Answering, body: bytes) -> None:
    service.body = body
    with pytest.raises(DestinationDown, match="no DICOM JSON") as caught:
        asker.held("1.2.3", "1.2.9", WANTED)
    assert "`url`" in caught.value.hint


def test_a_service_that_hangs_up_is_asked_again_over_another_connection(asker: QidoAsker, service: Answering) -> None:
    service.hang_up = True
    with pytest.raises(DestinationDown):
        asker.held("1.2.3", "1.2.9", WANTED)
    service.hang_up, service.body = False, _listed("1.2.1", "1.2.2")
    assert asker.held("1.2.3", "1.2.9", WANTED) == WANTED


def test_a_question_that_hangs_ends_when_the_node_does(asker: QidoAsker, service: Answering) -> None:
    service.hold.clear()
    threading.Timer(0.3, asker.interrupt).start()
    began = time.monotonic()
    with pytest.raises(DestinationDown):
        asker.held("1.2.3", "1.2.9", WANTED)
    assert time.monotonic() - began < 3
