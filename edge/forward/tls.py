"""DICOM over TLS (PS3.15 Annex B, RFC 9325): what a destination's `tls` asks for, and words for what goes wrong.

The peer's certificate is always verified. The files are read again for each connection, so that a renewed certificate
is used without a restart. Loaded only by nodes with such a destination.
"""

from __future__ import annotations

import os
import socket
import ssl
import stat
import time
from pathlib import Path

from edge.forward.base import DestinationDown
from edge.forward.credentials import Credentials
from edge.forward.tls_wire import TlsWire
from edge.model import Tls

_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM"
"""For TLS 1.2: forward secrecy and authenticated encryption only (PS3.15 B.12); those of 1.3 are all so."""
_NOT_YET, _EXPIRED = 9, 10
_OTHER_NAME = frozenset((62, 64))
_UNKNOWN_ISSUER = frozenset((2, 18, 19, 20, 21))
"""X509_V_ERR_* of OpenSSL."""


class TlsPeer:
    """Puts TLS over connections to one destination."""

    def __init__(self, tls: Tls, host: str, data_dir: Path) -> None:
        self._tls, self._name = tls, tls.server_name or host
        self._credentials = Credentials(data_dir)

    def wrap(self, raw: socket.socket, seconds: float) -> TlsWire:
        """Agree on TLS within so many seconds.

        Raises:
            DestinationDown: it did not come to that, and why.
        """
        wire = TlsWire(raw, self._context(), self._name)
        try:
            wire.shake_hands(time.monotonic() + seconds)
        except TimeoutError:
            raise DestinationDown(
                f"it does not answer the TLS handshake within {seconds:g} s",
                hint="Check that it speaks TLS on this port.",
            ) from None
        except OSError as error:
            raise self.refusal(error) from error
        return wire

    def refusal(self, error: OSError) -> DestinationDown:
        """What this failure of TLS says to a person."""
        if isinstance(error, ssl.SSLCertVerificationError):
            return self._distrust(error)
        reason = (getattr(error, "reason", None) or "").upper()
        if "ALERT" in reason and ("CERTIFICATE" in reason or "UNKNOWN_CA" in reason):
            words = "does not accept our certificate" if self._tls.certificate else "wants a certificate of ours"
            return DestinationDown(
                f"it speaks TLS and {words}",
                hint="Name one that its administrator trusts with `certificate` and `key` of the destination's `tls`.",
            )
        if "PROTOCOL" in reason or "HANDSHAKE_FAILURE" in reason or "NO_SHARED" in reason:
            return DestinationDown(
                "it and we have no version or cipher of TLS in common",
                hint="Let it speak TLS 1.2 or 1.3 with AES-GCM (PS3.15, BCP 195 profile).",
            )
        if reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST"):
            return DestinationDown(
                "what it answers is not TLS", hint="Check the port, or leave `tls` out when it speaks plain DICOM."
            )
        return self.closed()

    def closed(self) -> DestinationDown:
        """It hung up without a word: with TLS 1.3 also the way in which some refuse who has no certificate."""
        wants = "" if self._tls.certificate else ", and whether it wants a certificate of ours"
        return DestinationDown(
            "it ended the connection while TLS was agreed on", hint=f"Check that it speaks TLS on this port{wants}."
        )

    def _distrust(self, error: ssl.SSLCertVerificationError) -> DestinationDown:
        code = error.verify_code
        if code == _EXPIRED:
            return DestinationDown(
                "its TLS certificate has expired",
                hint="Let its administrator renew it, unless the clock here is wrong.",
            )
        if code == _NOT_YET:
            return DestinationDown(
                "its TLS certificate is not valid yet", hint="Compare the clock of this machine with that of the peer."
            )
        if code in _OTHER_NAME:
            return DestinationDown(
                f"its TLS certificate is not for {self._name}",
                hint="Write the name that stands in the certificate as `server_name` of the destination's `tls`.",
            )
        if code in _UNKNOWN_ISSUER:
            return DestinationDown(
                "its TLS certificate comes from an authority that `ca` does not hold",
                hint=f"Put the authority's certificate, or that of the peer, into {self._tls.ca}.",
            )
        return DestinationDown(
            f"its TLS certificate cannot be trusted: {error.verify_message}", hint="Let its administrator mend it."
        )

    def _context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # verifies the chain and the name
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(_CIPHERS)
        context.options |= ssl.OP_NO_RENEGOTIATION
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # `ca` may hold the peer's own certificate
        ca = self._file(self._tls.ca)
        try:
            context.load_verify_locations(cafile=ca)
        except OSError as error:
            raise _unusable(self._tls.ca, "certificates", error) from error
        if self._tls.certificate:
            certificate, key = self._file(self._tls.certificate), self._file(self._tls.key)
            _refuse_open(key, self._tls.key)
            try:
                # A key under a pass phrase must fail, not ask at a terminal.
                context.load_cert_chain(certificate, key, password="")
            except OSError as error:
                raise _unusable(self._tls.certificate, "a certificate with the key that `key` names", error) from error
        return context

    def _file(self, name: str) -> Path:
        return Path(name) if name.startswith("/") else self._credentials.path(name)


def _refuse_open(path: Path, name: str) -> None:
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError as error:
        raise _unusable(name, "a key", error) from error
    if mode & 0o007:
        raise DestinationDown(f"others may read the key {name}", hint=f"chmod 600 {path}")


def _unusable(name: str, what: str, error: OSError) -> DestinationDown:
    if isinstance(error, ssl.SSLError):
        return DestinationDown(
            f"{name} does not hold {what}", hint="Write PEM into it; a key must not be under a pass phrase."
        )
    words = os.strerror(error.errno or 0)
    return DestinationDown(f"{name} cannot be read: {words}", hint="Let the user of the node own and read the file.")
