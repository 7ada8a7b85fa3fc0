"""A bucket of any S3 service as a destination: whole Part 10 objects, none ever overwritten.

boto3 is loaded by this module alone, and this module only by nodes with such a destination.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import boto3.session
import botocore.exceptions
from botocore.config import Config

from edge.buffer.spool import Spool
from edge.errors import EdgeError
from edge.forward.base import Accepted, DestinationDown, Outcome, Settle, TryLater
from edge.forward.breakable import Breakable
from edge.forward.credentials import Credentials
from edge.forward.ourselves import refuse_our_url
from edge.forward.part10_file import head_of, pieces_of
from edge.forward.rendition import open_rendition, unreadable
from edge.forward.s3_errors import outcome_of_error
from edge.key_template import names_of
from edge.model import ClaimedDelivery, S3Destination

CONNECT_SECONDS, READ_SECONDS = 10, 60
PART_BYTES = 8 << 20
"""What is larger goes up in parts of this size, each in memory while it is sent."""
_MOST_PARTS = 9_000
_DIGEST = "data-set-sha256"
_TAKEN = frozenset({"PreconditionFailed", "412"})
_NO_CONDITIONS = frozenset({"NotImplemented", "501"})
_ABSENT = frozenset({"404", "NoSuchKey", "NotFound"})
_UNREACHABLE = (
    botocore.exceptions.EndpointConnectionError,
    botocore.exceptions.ConnectTimeoutError,
    botocore.exceptions.ProxyConnectionError,
)
_NO_KEYS = (botocore.exceptions.NoCredentialsError, botocore.exceptions.PartialCredentialsError)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Object:
    """One instance on its way up."""

    delivery: ClaimedDelivery
    digest: str
    """SHA-256 of the data set: what tells whether another object is the same."""
    length: int
    names: tuple[str, str]


class S3Forwarder:
    """Writes to one bucket. The object of another instance with the same UID is never overwritten."""

    def __init__(
        self, destination: S3Destination, spool: Spool, credentials: Credentials, *, read_seconds: int = READ_SECONDS
    ) -> None:
        self._destination, self._spool, self._credentials = destination, spool, credentials
        self._read_seconds = read_seconds
        self._calls = Breakable(f"s3-{destination.name}")
        self._client: Any = None
        self._conditions = True
        """Whether the service knows conditional writes, as far as we have seen."""

    def deliver(self, deliveries: Sequence[ClaimedDelivery], settle: Settle) -> None:
        """See `Forwarder.deliver`. Objects are proven before their first byte leaves."""
        for delivery in deliveries:
            try:
                outcome = self._outcome(delivery)
            except DestinationDown:
                self._client = None  # with it the credentials, which are read again next time
                raise
            settle(delivery, outcome)

    def _outcome(self, delivery: ClaimedDelivery) -> Outcome:
        if self._client is None:
            self._client = self._connect()
        try:
            return self._store(self._prove(delivery))
        except DestinationDown:
            raise
        except (EdgeError, OSError) as error:
            return unreadable(error)
        except botocore.exceptions.ClientError as error:
            return outcome_of_error(*_code(error))
        except _UNREACHABLE as error:
            hint = "Start the service, or check `endpoint`, `region` and the network."
            raise DestinationDown("the service cannot be reached", hint=hint) from error
        except botocore.exceptions.SSLError as error:
            raise DestinationDown(
                "its certificate is not to be trusted", hint="Let this machine trust its authority."
            ) from error
        except _NO_KEYS as error:
            raise DestinationDown(
                "this machine has no keys for it", hint="Name `credentials` in the policy."
            ) from error
        except botocore.exceptions.BotoCoreError as error:
            return TryLater(reason=f"it broke off: {type(error).__name__}")

    def _prove(self, delivery: ClaimedDelivery) -> _Object:
        with open_rendition(self._spool, delivery, self._destination.transforms) as rendition:
            digest, room = hashlib.sha256(), memoryview(bytearray(1 << 20))
            while rendition.left:
                digest.update(room[: rendition.readinto(room)])
            names = names_of(
                self._destination.key,
                study=rendition.study_instance_uid,
                series=rendition.series_instance_uid,
                instance=rendition.sop_instance_uid,
                own_id=delivery.sealed.instance_id,
            )
            head = head_of(rendition, delivery.sealed.facts)
            return _Object(
                delivery=delivery, digest=digest.hexdigest(), length=len(head) + rendition.length, names=names
            )

    def _store(self, wanted: _Object) -> Outcome:
        for key in wanted.names:
            found = self._digest_at(key)
            if found is None and self._put(wanted, key):
                return Accepted()
            if (found or self._digest_at(key)) == wanted.digest:
                return Accepted(note="already there")
        if found is None:  # we may not look, and nobody but us gives this name
            return Accepted(note="already there, from an earlier try")
        return TryLater(reason="another object has both of its names")

    def _digest_at(self, key: str) -> str | None:
        """What stands under this key: None is nothing, or nothing that we may see."""
        try:
            answer = self._call(lambda: self._client.head_object(Bucket=self._destination.bucket, Key=key))
        except botocore.exceptions.ClientError as error:
            code, status = _code(error)
            if code in _ABSENT or (400 <= status < 500 and status != 429):
                return None  # keys that may only write get 403; and an answer to HEAD has no words, the write's has
            raise
        return str(answer.get("Metadata", {}).get(_DIGEST, "unknown"))

    def _put(self, wanted: _Object, key: str) -> bool:
        """Whether the whole object stands there now; False when somebody else has the name."""
        put = self._put_whole if wanted.length <= PART_BYTES else self._put_parts
        try:
            put(wanted, key, self._condition())
        except botocore.exceptions.ClientError as error:
            code, status = _code(error)
            if code in _TAKEN or status == 412:
                return False
            if code in _NO_CONDITIONS and self._conditions:
                self._conditions = False
                put(wanted, key, {})
                return True
            raise
        return True

    def _condition(self) -> dict[str, str]:
        return {"IfNoneMatch": "*"} if self._conditions else {}

    def _place(self, key: str) -> dict[str, str]:
        return {"Bucket": self._destination.bucket, "Key": key}

    def _put_whole(self, wanted: _Object, key: str, condition: dict[str, str]) -> None:
        (body,) = self._parts(wanted, wanted.length)
        self._call(
            lambda: self._client.put_object(
                **self._place(key), **condition, **_described(wanted), Body=body, ContentMD5=_md5(body)
            )
        )

    def _put_parts(self, wanted: _Object, key: str, condition: dict[str, str]) -> None:
        place = self._place(key)
        upload = self._call(lambda: self._client.create_multipart_upload(**place, **_described(wanted)))["UploadId"]
        try:
            parts = []
            size = max(PART_BYTES, -(-wanted.length // _MOST_PARTS))
            for number, body in enumerate(self._parts(wanted, size), start=1):
                part = {**place, "UploadId": upload, "PartNumber": number, "ContentMD5": _md5(body), "Body": body}
                tag = self._call(partial(self._client.upload_part, **part))
                parts.append({"PartNumber": number, "ETag": tag["ETag"]})
            self._call(
                lambda: self._client.complete_multipart_upload(
                    **place, **condition, UploadId=upload, MultipartUpload={"Parts": parts}
                )
            )
        except BaseException:
            with suppress(Exception):  # what stays is what the bucket's own rules tidy up
                self._call(lambda: self._client.abort_multipart_upload(**place, UploadId=upload))
            raise

    def _parts(self, wanted: _Object, size: int) -> Iterator[bytes]:
        with open_rendition(self._spool, wanted.delivery, self._destination.transforms) as rendition:
            gathered = bytearray()
            for piece in pieces_of(head_of(rendition, wanted.delivery.sealed.facts), rendition):
                gathered += piece
                while len(gathered) > size:
                    yield bytes(gathered[:size])
                    del gathered[:size]
            yield bytes(gathered)

    def _call(self, call: Callable[[], Any]) -> Any:
        return self._calls.run(call)

    def _connect(self) -> Any:
        wanted = self._destination
        refuse_our_url(wanted.endpoint)
        keys: dict[str, str | None] = {}
        if wanted.credentials:
            found = self._credentials.read(wanted.credentials, ("access_key", "secret_key"))
            keys = {
                "aws_access_key_id": found["access_key"],
                "aws_secret_access_key": found["secret_key"],
                "aws_session_token": found.get("session_token"),
            }
        config = Config(
            connect_timeout=CONNECT_SECONDS,
            read_timeout=self._read_seconds,
            retries={"total_max_attempts": 1},  # the queue tries again, and knows why
            s3={"addressing_style": "path" if wanted.endpoint else "auto"},
            request_checksum_calculation="when_required",  # ours is Content-MD5, which every service knows
            response_checksum_validation="when_required",
            max_pool_connections=1,
        )
        try:
            client = boto3.session.Session().client(
                "s3",
                endpoint_url=wanted.endpoint or None,
                region_name=wanted.region or ("us-east-1" if wanted.endpoint else None),
                config=config,
                **keys,
            )
            client.meta.events.register("before-call.s3", _stay)
        except (botocore.exceptions.BotoCoreError, ValueError) as error:
            raise DestinationDown("its settings cannot be used", hint="Check `endpoint` and `region`.") from error
        return client

    def rest(self) -> None:
        """See `Forwarder.rest`: nothing has to be done."""

    def interrupt(self) -> None:
        """See `Forwarder.interrupt`: the request under way is left to its own time-outs."""
        self._calls.cut()

    def close(self) -> None:
        """See `Forwarder.close`."""
        if self._client is not None and not self._calls.is_cut:
            self._client.close()
        self._client = None


def _stay(params: dict[str, Any], **_rest: object) -> None:
    """Follow no redirection: botocore would, without end, where a server answers everything with one."""
    params["context"].setdefault("s3_redirect", {})["redirected"] = True


def _described(wanted: _Object) -> dict[str, Any]:
    return {"ContentType": "application/dicom", "Metadata": {_DIGEST: wanted.digest}}


def _md5(body: bytes) -> str:
    return base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()


def _code(error: Any) -> tuple[str, int]:
    answer = error.response
    status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return str(answer.get("Error", {}).get("Code", "")), int(status)
