"""A bucket as a destination: nothing is overwritten, nothing hangs, and every error says who must do what."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.buffer.store import Buffer
from edge.durable import write_durably
from edge.forward import s3 as s3_module
from edge.forward.base import Accepted, DestinationDown, Outcome, Refused, TryLater, Unfit
from edge.forward.credentials import Credentials
from edge.forward.s3 import S3Forwarder
from edge.model import DEFAULT_TEMPLATE, ClaimedDelivery, S3Destination
from tests.answering import Answering, interrupted_after_arrival
from tests.edge_samples import data_set, routed, take
from tests.object_store import BUCKET, KEYS, ObjectStore


@pytest.fixture
def buffer(tmp_path: Path) -> Iterator[Buffer]:
    opened = Buffer(tmp_path / "node")
    folder = tmp_path / "node" / "credentials"
    folder.mkdir()
    write_durably(folder / "peer", json.dumps(KEYS).encode(), mode=0o600)
    yield opened
    opened.close()


@pytest.fixture
def service() -> Iterator[Answering]:
    with Answering() as server:
        yield server


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ObjectStore]:
    with ObjectStore(tmp_path / "moto") as started:
        yield started


def _forwarder(
    buffer: Buffer,
    tmp_path: Path,
    url: str,
    *,
    bucket: str = BUCKET,
    key: str = DEFAULT_TEMPLATE,
    credentials: str = "peer",
) -> S3Forwarder:
    destination = S3Destination(name="d", bucket=bucket, endpoint=url, key=key, credentials=credentials)
    return S3Forwarder(destination, buffer.spool, Credentials(tmp_path / "node"), read_seconds=5)


def _queue(buffer: Buffer, *uids: str, content: bytes | None = None) -> list[ClaimedDelivery]:
    buffer.admit([routed(take(buffer, uid, content), "d") for uid in uids])
    return buffer.claim("d", 100)


def _deliver(forwarder: S3Forwarder, deliveries: list[ClaimedDelivery]) -> dict[str, Outcome]:
    outcomes: dict[str, Outcome] = {}
    try:
        forwarder.deliver(deliveries, lambda one, outcome: outcomes.update({one.sealed.sop_instance_uid: outcome}))
    finally:
        forwarder.close()
    return outcomes


@pytest.mark.parametrize("size", [1_000, s3_module.PART_BYTES + 1_000])
def test_another_object_with_the_same_uid_is_never_overwritten_and_the_same_one_is_there_once(
    buffer: Buffer, tmp_path: Path, store: ObjectStore, size: int
) -> None:
    first = _queue(buffer, "1.2.1")
    second = _queue(buffer, "1.2.1", content=data_set("1.2.1", body=b"o" * size))
    forwarder = _forwarder(buffer, tmp_path, store.url)
    for _time in range(2):
        assert isinstance(_deliver(forwarder, first)["1.2.1"], Accepted)
        assert isinstance(_deliver(forwarder, second)["1.2.1"], Accepted)
    own_id = second[0].sealed.instance_id
    assert sorted(store.objects()) == ["1.2.3/1.2.9.1/1.2.1.dcm", f"1.2.3/1.2.9.1/1.2.1_{own_id}.dcm"]
    again = _deliver(forwarder, first)["1.2.1"]
    assert again == Accepted(note="already there")


def test_the_condition_holds_where_another_writer_comes_between_the_look_and_the_write(
    buffer: Buffer, tmp_path: Path, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    forwarder, client = _forwarder(buffer, tmp_path, store.url), store.client()
    key, real = "1.2.3/1.2.9.1/1.2.1.dcm", S3Forwarder._digest_at

    def look_and_be_overtaken(self: S3Forwarder, name: str) -> str | None:
        seen = real(self, name)
        if name == key and seen is None:
            client.put_object(Bucket=BUCKET, Key=key, Body=b"of somebody else")
        return seen

    monkeypatch.setattr(S3Forwarder, "_digest_at", look_and_be_overtaken)
    assert isinstance(_deliver(forwarder, _queue(buffer, "1.2.1"))["1.2.1"], Accepted)
    assert store.objects()[key] == b"of somebody else"
    assert len(store.objects()) == 2


def test_a_key_template_is_followed_and_no_value_leaves_its_prefix(
    buffer: Buffer, tmp_path: Path, store: ObjectStore
) -> None:
    deliveries = _queue(buffer, "1.2.1", "../../evil")
    _deliver(_forwarder(buffer, tmp_path, store.url, key="in/{SOPInstanceUID}"), deliveries)
    assert sorted(store.objects()) == sorted(["in/1.2.1", f"in/{deliveries[1].sealed.instance_id}"])


def test_a_bucket_that_is_not_there_holds_everything_and_says_so(
    buffer: Buffer, tmp_path: Path, store: ObjectStore
) -> None:
    with pytest.raises(DestinationDown, match="bucket is not there") as caught:
        _deliver(_forwarder(buffer, tmp_path, store.url, bucket="nowhere"), _queue(buffer, "1.2.1"))
    assert "Create it" in caught.value.hint


def test_credentials_that_are_missing_hold_everything(buffer: Buffer, tmp_path: Path, store: ObjectStore) -> None:
    with pytest.raises(DestinationDown, match="no file `other`"):
        _deliver(_forwarder(buffer, tmp_path, store.url, credentials="other"), _queue(buffer, "1.2.1"))


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "EntityTooLarge", Refused),
        (413, "", Refused),
        (409, "ConditionalRequestConflict", TryLater),
        (500, "InternalError", TryLater),
        (403, "AccessDenied", DestinationDown),
        (403, "InvalidAccessKeyId", DestinationDown),
        (503, "SlowDown", DestinationDown),
        (404, "NoSuchBucket", DestinationDown),
        (301, "PermanentRedirect", DestinationDown),
        (302, "", DestinationDown),
    ],
)
def test_an_error_of_the_service_is_for_the_instance_or_for_all(
    buffer: Buffer,
    tmp_path: Path,
    service: Answering,
    status: int,
    code: str,
    kind: type[object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    service.status, service.body = status, f"<Error><Code>{code}</Code><Message>x</Message></Error>".encode()
    service.headers = {"Content-Type": "application/xml"}
    forwarder, deliveries = _forwarder(buffer, tmp_path, service.url), _queue(buffer, "1.2.1")
    monkeypatch.setattr(S3Forwarder, "_digest_at", lambda _self, _key: None)
    if kind is DestinationDown:
        with pytest.raises(DestinationDown) as caught:
            _deliver(forwarder, deliveries)
        assert caught.value.hint
    else:
        assert type(_deliver(forwarder, deliveries)["1.2.1"]) is kind
    assert len(service.requests) == 1  # the queue tries again, not the library


def test_a_server_that_redirects_everything_is_no_object_store(
    buffer: Buffer, tmp_path: Path, service: Answering
) -> None:
    service.status, service.headers = 301, {"Location": service.url}
    with pytest.raises(DestinationDown, match="lies elsewhere"):
        _deliver(_forwarder(buffer, tmp_path, service.url), _queue(buffer, "1.2.1"))
    assert len(service.requests) == 1


def test_an_interrupt_ends_a_request_that_hangs_and_none_begins_any_more(
    buffer: Buffer, tmp_path: Path, service: Answering
) -> None:
    forwarder, deliveries = _forwarder(buffer, tmp_path, service.url), _queue(buffer, "1.2.1")
    begun = time.monotonic()
    with interrupted_after_arrival(service, forwarder.interrupt), pytest.raises(DestinationDown, match="told to stop"):
        _deliver(forwarder, deliveries)
    assert time.monotonic() - begun < 4
    with pytest.raises(DestinationDown, match="told to stop"):
        _deliver(forwarder, deliveries)
    assert len(service.requests) == 1


def test_an_upload_in_parts_that_fails_leaves_nothing_behind(
    buffer: Buffer, tmp_path: Path, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_module, "PART_BYTES", 5 << 20)
    deliveries = _queue(buffer, "1.2.1", content=data_set("1.2.1", body=bytes(12 << 20)))
    path, real = buffer.spool.path(deliveries[0].sealed.instance_id), S3Forwarder._put_parts

    def rot_then_send(self: S3Forwarder, *call: object) -> None:
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
        real(self, *call)  # type: ignore[arg-type]

    monkeypatch.setattr(S3Forwarder, "_put_parts", rot_then_send)
    assert isinstance(_deliver(_forwarder(buffer, tmp_path, store.url), deliveries)["1.2.1"], Unfit)
    assert store.objects() == {}
    assert not store.client().list_multipart_uploads(Bucket=BUCKET).get("Uploads")
