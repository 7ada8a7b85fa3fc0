"""The certificate of the gRPC door, and how another one takes its place while nodes are connected."""

from __future__ import annotations

import queue
from collections.abc import Callable
from typing import cast

import grpc

from control.enrolment.own_certificates import OwnCertificate


class CertificateShelf:
    """The certificate that new gRPC connections see: the server asks at every handshake whether there is another.

    It is handed over once and never again. gRPC takes whatever it gets for new and exchanges what handshakes of other
    threads are using: when some hundred nodes come back at once, that ends the process (seen with grpcio 1.85.1).
    """

    def __init__(self, certificate: OwnCertificate, ca_pem: bytes) -> None:
        self._ca_pem = ca_pem
        self._first = self._configuration(certificate)
        self._next: queue.SimpleQueue[grpc.ServerCertificateConfiguration] = queue.SimpleQueue()

    def put(self, certificate: OwnCertificate) -> None:
        """Show this one from the next handshake on."""
        self._next.put(self._configuration(certificate))

    def credentials(self) -> grpc.ServerCredentials:
        """Mutual TLS: a caller without a certificate of this mesh gets no further than the handshake."""
        # None means that nothing is new, which the types do not tell.
        news = cast("Callable[[], grpc.ServerCertificateConfiguration]", self.news)
        return grpc.dynamic_ssl_server_credentials(self._first, news, require_client_authentication=True)

    def _configuration(self, certificate: OwnCertificate) -> grpc.ServerCertificateConfiguration:
        pair = (certificate.key_pem, certificate.certificate_pem)
        return grpc.ssl_server_certificate_configuration([pair], root_certificates=self._ca_pem)

    def news(self) -> grpc.ServerCertificateConfiguration | None:
        """What was put since the last handshake asked; called from threads of gRPC."""
        try:
            return self._next.get_nowait()
        except queue.Empty:
            return None
