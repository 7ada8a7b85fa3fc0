"""STOW-RS (PS3.18 section 10.5): one instance in each request, streamed from the spool over one open connection."""

from __future__ import annotations

import secrets
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import httpx2

from edge.buffer.spool import Spool
from edge.errors import EdgeError
from edge.forward.base import Accepted, DestinationDown, Outcome, Settle, TryLater
from edge.forward.credentials import Credentials
from edge.forward.ourselves import refuse_our_url
from edge.forward.part10_file import head_of, pieces_of
from edge.forward.rendition import Rendition, open_rendition, unreadable
from edge.forward.stow_answers import StowAnswer, outcome_of_answer
from edge.model import ClaimedDelivery, DicomWebDestination

CONNECT_SECONDS = 10.0
IDLE_SECONDS = 120.0
"""How long nothing may move, not how long an object may take."""
_MOST_ANSWER_BYTES = 8 << 20


class DicomWebForwarder:
    """Stores at one service. A request is complete only when its instance is proven, so a rotten file never is."""

    def __init__(
        self,
        destination: DicomWebDestination,
        spool: Spool,
        credentials: Credentials,
        *,
        idle_seconds: float = IDLE_SECONDS,
    ) -> None:
        self._destination, self._spool, self._credentials = destination, spool, credentials
        self._idle_seconds = idle_seconds
        self._client: httpx2.Client | None = None
        self._sockets = _Sockets()

    def deliver(self, deliveries: Sequence[ClaimedDelivery], settle: Settle) -> None:
        """See `Forwarder.deliver`. What broke off after its first byte is settled as TryLater: it may have arrived."""
        for delivery in deliveries:
            self._sockets.raise_when_cut()
            try:
                settle(delivery, self._outcome(delivery))
            except _BrokeOff as broken:
                self.close()
                settle(delivery, TryLater(reason=f"it broke off: {broken}"))
                raise DestinationDown(f"it broke off: {broken}", hint=broken.hint) from broken
            except DestinationDown:
                self.close()  # with it the credentials, which are read again next time
                raise

    def _outcome(self, delivery: ClaimedDelivery) -> Outcome:
        client = self._open()
        try:
            with open_rendition(self._spool, delivery, self._destination.transforms) as rendition:
                answer = self._post(client, rendition, delivery)
        except (_BrokeOff, DestinationDown):
            raise
        except (EdgeError, OSError) as error:
            return unreadable(error)
        outcome = outcome_of_answer(answer, rendition.sop_instance_uid, attempts=delivery.attempts)
        if rendition.sent_as and isinstance(outcome, Accepted):
            return replace(outcome, sent_as=rendition.sent_as)
        return outcome

    def get(self, path: str) -> StowAnswer:
        """What the service answers to a GET below its root, in DICOM JSON.

        Raises:
            DestinationDown: it did not answer.
        """
        self._sockets.raise_when_cut()
        try:
            return self._exchange(self._open(), "GET", path, None, {})
        except _BrokeOff as broken:
            self.close()
            raise DestinationDown(f"it broke off: {broken}", hint=broken.hint) from broken
        except DestinationDown:
            self.close()
            raise

    def _post(self, client: httpx2.Client, rendition: Rendition, delivery: ClaimedDelivery) -> StowAnswer:
        boundary = f"skerry-{secrets.token_hex(16)}"
        # Without the parameter that PS3.18 allows here: Orthanc 1.10 passes over parts that have it.
        before = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
        after = f"\r\n--{boundary}--\r\n".encode()
        head = head_of(rendition, delivery.sealed.facts)

        def body() -> Iterator[bytes]:
            yield before
            yield from pieces_of(head, rendition)
            yield after

        headers = {
            "Content-Type": f'multipart/related; type="application/dicom"; boundary={boundary}',
            "Content-Length": str(len(before) + len(head) + rendition.length + len(after)),
        }
        return self._exchange(client, "POST", "/studies", body(), headers)

    def _exchange(
        self,
        client: httpx2.Client,
        method: str,
        path: str,
        body: Iterator[bytes] | None,
        headers: Mapping[str, str],
    ) -> StowAnswer:
        request = client.build_request(
            method,
            f"{self._destination.url.rstrip('/')}{path}",
            content=body,
            headers=headers,
            extensions={"trace": self._sockets.watch},
        )
        try:
            response = client.send(request, stream=True)
            try:
                return _answer(response)
            finally:
                response.close()
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.UnsupportedProtocol) as error:
            raise self._unreachable(error) from error
        except httpx2.HTTPError as error:
            words = "it said nothing for too long" if isinstance(error, httpx2.TimeoutException) else "it hung up"
            words = "we were told to stop" if self._sockets.is_cut else words
            raise _BrokeOff(words, hint="Look at the log of the service.") from error

    def _unreachable(self, error: Exception) -> DestinationDown:
        place = httpx2.URL(self._destination.url).netloc.decode("ascii", "replace")
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            hint = "Name the file with its authority in `ca`, or give the service a certificate for this host name."
            return DestinationDown(f"the certificate of {place} is not to be trusted", hint=hint)
        return DestinationDown(f"{place} cannot be reached", hint="Start the service, or check `url` and the network.")

    def _open(self) -> httpx2.Client:
        if self._client is None:
            wanted = self._destination
            refuse_our_url(wanted.url)
            headers, auth = {"Accept": "application/dicom+json", "User-Agent": "Skerry"}, None
            if wanted.credentials:
                found = self._credentials.read(wanted.credentials, ("bearer_token",), ("username", "password"))
                if "bearer_token" in found:
                    headers["Authorization"] = f"Bearer {_token(found['bearer_token'], wanted.credentials)}"
                else:
                    auth = httpx2.BasicAuth(found["username"], found["password"])
            self._client = httpx2.Client(
                headers=headers,
                auth=auth,
                verify=self._authorities(),
                timeout=httpx2.Timeout(self._idle_seconds, connect=CONNECT_SECONDS),
                limits=httpx2.Limits(max_connections=1, keepalive_expiry=30.0),
                follow_redirects=False,
                trust_env=False,
            )
        return self._client

    def _authorities(self) -> ssl.SSLContext | bool:
        if not self._destination.ca:
            return True
        path = self._credentials.path(self._destination.ca)
        try:
            return ssl.create_default_context(cafile=str(path))
        except OSError as error:
            raise DestinationDown(
                f"the file `{self._destination.ca}` holds no certificates", hint="It must hold them in PEM."
            ) from error

    def rest(self) -> None:
        """See `Forwarder.rest`: a connection without work is closed by itself, before the next use."""

    def interrupt(self) -> None:
        """See `Forwarder.interrupt`."""
        self._sockets.cut()

    def close(self) -> None:
        """See `Forwarder.close`."""
        if self._client is not None:
            self._client.close()
            self._client = None


class _BrokeOff(EdgeError):
    """A request ended without an answer."""


class _Sockets:
    """The connection in use, so that another thread can cut it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._cut = False

    def watch(self, event: str, info: Mapping[str, object]) -> None:
        """Called by the library at every step; sees sockets when they are opened."""
        stream = info.get("return_value")
        if event not in {"connection.connect_tcp.complete", "connection.start_tls.complete"} or stream is None:
            return
        with self._lock:
            self._socket = stream.get_extra_info("socket")  # type: ignore[attr-defined]
        if self._cut:
            self.cut()

    def cut(self) -> None:
        """End what is under way, for good."""
        self._cut = True
        with self._lock:
            if self._socket is not None and self._socket.fileno() >= 0:
                try:
                    socket.socket.shutdown(self._socket, socket.SHUT_RDWR)
                except OSError:
                    return  # it is over already

    @property
    def is_cut(self) -> bool:
        """Whether nothing may begin any more."""
        return self._cut

    def raise_when_cut(self) -> None:
        """No request begins any more after a cut."""
        if self._cut:
            raise DestinationDown("we were told to stop", hint="Nothing has to be done.")


def _token(token: str, name: str) -> str:
    if token.isascii() and token.isprintable() and " " not in token:
        return token
    raise DestinationDown(
        f"the token in `{name}` cannot stand in a header", hint="Write it as it was given: ASCII, without spaces."
    )


def _answer(response: httpx2.Response) -> StowAnswer:
    body = bytearray()
    for piece in response.iter_bytes(65_536):
        body += piece
        if len(body) > _MOST_ANSWER_BYTES:
            break
    return StowAnswer(
        status=response.status_code, body=bytes(body), retry_after=response.headers.get("Retry-After", "")
    )
