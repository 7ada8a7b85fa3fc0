"""The DICOM SCP on pynetdicom: every storage SOP class, known, private or unknown, in every transfer syntax."""

from __future__ import annotations

import threading
import time
from typing import Any

import structlog
from pydicom.uid import AllTransferSyntaxes
from pynetdicom import AE, _config
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]
from pynetdicom.transport import AssociationServer

from edge import metrics
from edge.ingest.custody import Custody
from edge.ingest.handlers import Handlers
from edge.ingest.wire import cut
from edge.settings import EdgeSettings, cannot_listen

log = structlog.get_logger(__name__)

# A site's scanners send private and retired classes that no list has; a router that refuses them loses images.
_config.UNRESTRICTED_STORAGE_SERVICE = True
_config.USE_SHORT_DIMSE_AET = False
_config.LOG_HANDLER_LEVEL = "none"
# The library's backlog of five makes the sixth modality of a burst wait a second for its SYN to be sent again.
AssociationServer.request_queue_size = 128
MAXIMUM_PDU_SIZE = 1 << 18
ABORT_SECONDS = 0.2
HALF_OPEN_FACTOR = 4
"""Connections that are no association yet may be so many times the limit of associations."""


class _Entity(AE):
    """Counts only established associations against the limit: a port scan must not shut the door on modalities."""

    @property
    def active_associations(self) -> list[Any]:
        """The established ones, and the one whose thread asks (pynetdicom 3.0.4: `ACSE._negotiate_as_acceptor`)."""
        asking = threading.current_thread()
        return [one for one in self.connections() if one.is_established or one is asking]

    def connections(self) -> list[Any]:
        """Every connection that a thread serves, established or not."""
        return [association for association in super().active_associations if association.is_acceptor]


class DicomDoor:
    """Listens for modalities. `start` returns when it serves; `stop` lets open associations finish for a while."""

    def __init__(self, settings: EdgeSettings, custody: Custody) -> None:
        self._settings = settings
        self._handlers = Handlers(custody, settings.pdu_timeout_seconds, MAXIMUM_PDU_SIZE)
        self._ae = _Entity(ae_title=settings.ae_title)
        self._ae.maximum_associations = settings.max_associations
        self._ae.maximum_pdu_size = MAXIMUM_PDU_SIZE
        self._ae.acse_timeout = settings.pdu_timeout_seconds
        self._ae.network_timeout = settings.idle_timeout_seconds
        self._ae.dimse_timeout = settings.idle_timeout_seconds
        self._ae.add_supported_context(Verification, AllTransferSyntaxes[:4])
        self._server: Any = None

    def start(self) -> tuple[str, int]:
        """Serve; the address that is really bound.

        Raises:
            SettingsError: the address cannot be listened on.
        """
        host, _, port = self._settings.listen.rpartition(":")
        try:
            self._server = self._ae.start_server(
                (host.strip("[]"), int(port)), block=False, evt_handlers=self._handlers.bindings()
            )
        except OSError as error:
            raise cannot_listen(self._settings.listen, error) from error
        self._server.verify_request = self._has_room
        address = self._server.socket.getsockname()
        return str(address[0]), int(address[1])

    def stop(self, grace_seconds: float) -> None:
        """Take no new association, let open ones finish, then cut those that have not. Never waits for a peer."""
        if self._server is None:
            return
        self._server.shutdown()
        deadline = time.monotonic() + grace_seconds
        while self._ae.active_associations and time.monotonic() < deadline:
            time.sleep(0.05)
        for association in self._ae.active_associations:
            association.abort(block=False)
        time.sleep(ABORT_SECONDS)  # for the A-ABORTs to leave
        for connection in self._ae.connections():
            cut(connection)
        self._server = None

    def _has_room(self, _request: object, _address: object) -> bool:
        """Whether a new TCP connection is let in; otherwise it is closed before it costs a thread."""
        room = len(self._ae.connections()) < HALF_OPEN_FACTOR * self._settings.max_associations
        if not room:
            metrics.ASSOCIATIONS.labels(outcome="turned-away").inc()
        return room
