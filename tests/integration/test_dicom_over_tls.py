"""C-STORE over TLS to DCMTK's storescp and to small servers of our own: what arrives, and what a person is told."""

from __future__ import annotations

import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from pynetdicom import AE, evt
from pynetdicom.events import EventHandlerType

from edge.buffer.store import Buffer
from edge.forward.base import Accepted, DestinationDown
from edge.forward.cstore import CStoreForwarder
from edge.model import DicomDestination, Tls
from provisioning.local.storescp import StoreScp
from tests.certificates import Issued, MeshAuthority
from tests.edge_samples import data_set
from tests.real_programs import require
from tests.sending import Sent, deliver, deliveries

CT = "1.2.840.10008.5.1.4.1.1.2"
LARGE = 3_000_000
"""More than the sender's buffer, and than the kernel takes at once."""


@pytest.fixture(scope="module")
def authority() -> MeshAuthority:
    return MeshAuthority()


def _pem(folder: Path, name: str, content: bytes) -> str:
    path = folder / name
    path.write_bytes(content)
    path.chmod(0o600)
    return str(path)


def _pair(folder: Path, name: str, issued: Issued) -> tuple[str, str]:
    return _pem(folder, f"{name}-key.pem", issued.key_pem), _pem(folder, f"{name}.pem", issued.certificate_pem)


def _trusting(folder: Path, authority: MeshAuthority) -> Tls:
    return Tls(ca=_pem(folder, "ca.pem", authority.ca_pem))


@contextmanager
def _pacs(folder: Path, issued: Issued, ca: bytes, *, wants_certificate: bool = False) -> Iterator[StoreScp]:
    require("storescp")
    key, certificate = _pair(folder, "pacs", issued)
    peers = ["--require-peer-cert"] if wants_certificate else ["--ignore-peer-cert"]
    options = ["+tls", key, certificate, "+cf", _pem(folder, "pacs-ca.pem", ca), *peers]
    with StoreScp(folder / "pacs", extra=options) as pacs:
        yield pacs


def _send(buffer: Buffer, port: int, tls: Tls, contents: dict[str, bytes], *, host: str = "127.0.0.1") -> Sent:
    peer = DicomDestination(name="d", host=host, port=port, ae_title="PACS", associations=1, tls=tls)
    forwarder = CStoreForwarder(peer, buffer.spool, idle_seconds=10.0)
    try:
        return deliver(forwarder, deliveries(buffer, contents))
    finally:
        forwarder.close()


def _words(buffer: Buffer, port: int, tls: Tls, *, host: str = "127.0.0.1") -> DestinationDown:
    """What is said of a destination that takes nothing; no instance bears any of it."""
    sent = _send(buffer, port, tls, {"1.2.1": data_set("1.2.1")}, host=host)
    assert not sent.outcomes
    assert sent.down is not None
    return sent.down


def test_small_and_large_objects_arrive_as_they_are(buffer: Buffer, tmp_path: Path, authority: MeshAuthority) -> None:
    contents = {f"1.2.{n}": data_set(f"1.2.{n}", body=os.urandom(2_000 if n else LARGE)) for n in range(20)}
    with _pacs(tmp_path, authority.server(), authority.ca_pem) as pacs:
        sent = _send(buffer, pacs.port, _trusting(tmp_path, authority), contents)
        assert set(sent.kinds().values()) == {Accepted}
        assert {uid: part.data_set for uid, part in pacs.received().items()} == contents


def test_who_wants_our_certificate_gets_it(buffer: Buffer, tmp_path: Path, authority: MeshAuthority) -> None:
    key, certificate = _pair(tmp_path, "node", authority.client())
    tls = replace(_trusting(tmp_path, authority), certificate=certificate, key=key)
    with _pacs(tmp_path, authority.server(), authority.ca_pem, wants_certificate=True) as pacs:
        assert _send(buffer, pacs.port, tls, {"1.2.1": data_set("1.2.1")}).kinds() == {"1.2.1": Accepted}


def test_without_the_certificate_that_it_wants_the_destination_is_down(
    buffer: Buffer, tmp_path: Path, authority: MeshAuthority
) -> None:
    with _pacs(tmp_path, authority.server(), authority.ca_pem, wants_certificate=True) as pacs:
        down = _words(buffer, pacs.port, _trusting(tmp_path, authority))
    assert "certificate of ours" in f"{down} {down.hint}"


def test_a_certificate_of_another_authority_is_told_so(
    buffer: Buffer, tmp_path: Path, authority: MeshAuthority
) -> None:
    with _pacs(tmp_path, MeshAuthority("other").server(), authority.ca_pem) as pacs:
        down = _words(buffer, pacs.port, _trusting(tmp_path, authority))
    assert str(down) == "its TLS certificate comes from an authority that `ca` does not hold"
    assert "ca.pem" in down.hint


def test_an_expired_certificate_is_told_so(buffer: Buffer, tmp_path: Path, authority: MeshAuthority) -> None:
    old = authority.server(begins=timedelta(days=-9), life=timedelta(days=8))
    with _pacs(tmp_path, old, authority.ca_pem) as pacs:
        down = _words(buffer, pacs.port, _trusting(tmp_path, authority))
    assert str(down) == "its TLS certificate has expired"


def test_a_certificate_for_another_name_needs_that_name(
    buffer: Buffer, tmp_path: Path, authority: MeshAuthority
) -> None:
    tls = _trusting(tmp_path, authority)
    with _pacs(tmp_path, authority.server(host="pacs.hospital"), authority.ca_pem) as pacs:
        down = _words(buffer, pacs.port, tls)
        assert str(down) == "its TLS certificate is not for 127.0.0.1"
        assert "server_name" in down.hint
        named = replace(tls, server_name="pacs.hospital")
        assert _send(buffer, pacs.port, named, {"1.2.1": data_set("1.2.1")}).kinds() == {"1.2.1": Accepted}


def test_the_certificate_of_the_peer_itself_may_be_all_that_is_trusted(
    buffer: Buffer, tmp_path: Path, authority: MeshAuthority
) -> None:
    issued = authority.server()
    with _pacs(tmp_path, issued, authority.ca_pem) as pacs:
        tls = Tls(ca=_pem(tmp_path, "pinned.pem", issued.certificate_pem))
        assert _send(buffer, pacs.port, tls, {"1.2.1": data_set("1.2.1")}).kinds() == {"1.2.1": Accepted}


def test_a_peer_that_speaks_no_tls_is_told_so(buffer: Buffer, tmp_path: Path, authority: MeshAuthority) -> None:
    with _answering(lambda one: one.sendall(b"\x07\x00\x00\x00\x00\x04\x00\x00\x00\x00" * 3)) as port:
        down = _words(buffer, port, _trusting(tmp_path, authority))
    assert str(down) == "what it answers is not TLS"


def test_a_peer_that_hangs_up_is_told_so(buffer: Buffer, tmp_path: Path, authority: MeshAuthority) -> None:
    with _answering(lambda one: one.shutdown(socket.SHUT_RDWR)) as port:
        down = _words(buffer, port, _trusting(tmp_path, authority))
    assert str(down) == "it ended the connection while TLS was agreed on"


def test_old_versions_of_tls_are_refused(buffer: Buffer, tmp_path: Path, authority: MeshAuthority) -> None:
    key, certificate = _pair(tmp_path, "old", authority.server())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE-ECDSA-AES128-SHA")  # a cipher that RFC 9325 rules out

    def speak(one: socket.socket) -> None:
        with pytest.raises(OSError):
            context.wrap_socket(one, server_side=True)

    with _answering(speak) as port:
        down = _words(buffer, port, _trusting(tmp_path, authority))
    assert str(down) == "it and we have no version or cipher of TLS in common"


def test_files_that_cannot_be_used_are_named(buffer: Buffer, tmp_path: Path, authority: MeshAuthority) -> None:
    good = _trusting(tmp_path, authority)
    key, certificate = _pair(tmp_path, "node", authority.client())
    other_key, _other = _pair(tmp_path, "other", authority.client())
    with _answering(lambda one: one.fileno()) as port:
        assert "cannot be read" in str(_words(buffer, port, Tls(ca="/nowhere/ca.pem")))
        assert "there is no file `ca.pem`" in str(_words(buffer, port, Tls(ca="ca.pem")))
        assert "does not hold certificates" in str(_words(buffer, port, Tls(ca=_pem(tmp_path, "bad", b"no"))))
        mixed = replace(good, certificate=certificate, key=other_key)
        assert "does not hold a certificate with the key" in str(_words(buffer, port, mixed))
        Path(key).chmod(0o604)
        assert "others may read the key" in str(_words(buffer, port, replace(good, certificate=certificate, key=key)))


def test_names_of_files_are_looked_for_in_the_credentials(
    buffer: Buffer, tmp_path: Path, authority: MeshAuthority
) -> None:
    folder = buffer.spool.data_dir / "credentials"
    folder.mkdir()
    _pem(folder, "hospital-ca.pem", authority.ca_pem)
    with _pacs(tmp_path, authority.server(), authority.ca_pem) as pacs:
        sent = _send(buffer, pacs.port, Tls(ca="hospital-ca.pem"), {"1.2.1": data_set("1.2.1")})
    assert sent.kinds() == {"1.2.1": Accepted}


def test_an_association_that_was_ended_while_it_lay_idle_is_replaced(
    buffer: Buffer, tmp_path: Path, authority: MeshAuthority
) -> None:
    key, certificate = _pair(tmp_path, "python", authority.server())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    ae = AE("PACS")
    ae.add_supported_context(CT)
    took: EventHandlerType = (evt.EVT_C_STORE, lambda _event: 0)
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[took], ssl_context=context)
    assert server is not None
    port = server.server_address[1]
    peer = DicomDestination(name="d", host="127.0.0.1", port=port, ae_title="PACS", tls=_trusting(tmp_path, authority))
    forwarder = CStoreForwarder(peer, buffer.spool, idle_seconds=10.0)
    for uid in ("1.2.1", "1.2.2"):
        assert deliver(forwarder, deliveries(buffer, {uid: data_set(uid)})).kinds() == {uid: Accepted}
        (open_one,) = server.active_associations
        open_one.abort()
        open_one.join(10)
    forwarder.close()
    server.shutdown()


@contextmanager
def _answering(speak: Callable[[socket.socket], object]) -> Iterator[int]:
    """A port where each that calls is spoken to in this way, and then hung up on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ended = threading.Event()

        def serve() -> None:
            while not ended.is_set():
                try:
                    one, _address = listener.accept()
                except OSError:
                    return
                with one:
                    one.settimeout(5)
                    speak(one)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        ended.set()
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(10)
