"""The DICOM door: the lobby, admission, and a thread for each association."""

from __future__ import annotations

import functools
import socket
import threading
import time
from dataclasses import replace
from pathlib import Path

import structlog

from edge import metrics
from edge.attendance import FILE, OwnAttendance
from edge.buffer.expectations import Expectations
from edge.draining import Draining
from edge.ingest.admission import Crowd, Rejection, Rules, networks, refuse
from edge.ingest.census import Census
from edge.ingest.custody import Custody
from edge.ingest.lobby import Lobby, LobbyRules
from edge.ingest.reports import Reports
from edge.ingest.serving import Serving
from edge.ingest.visitors import Caller, Unwelcome, Visitor
from edge.model import AssociationFacts
from edge.settings import EdgeSettings
from edge.upper_layer import pdu
from edge.upper_layer.connection import Connection, Patience
from edge.upper_layer.ends import AssociationEnded, Released, Stopping
from edge.upper_layer.negotiation import COMMITMENT, MPPS, Negotiator
from edge.upper_layer.windows import Windows

log = structlog.get_logger(__name__)
CHECKS = Rules(
    ae_title="",
    require_called_ae_title=False,
    allow_calling=frozenset(),
    allow_networks=(),
    max_associations=1,
    max_associations_per_peer=0,
)
"""For a balancer that asks whether this node is well: who may send is another matter, and being busy is no illness."""
HALF_OPEN_FACTOR = 4
"""Connections that are no association yet may be so many times the limit of associations."""
ABORT_SECONDS = 0.7
UNREAD_ANSWERS = 1 << 16
"""Bytes of answers that wait for a peer that does not read; left to itself, the kernel keeps megabytes for each."""


class DicomDoor:
    """Serves modalities that come to a listening socket, which other processes may serve too."""

    def __init__(self, settings: EdgeSettings, custody: Custody, listener: socket.socket, *, process: int = 0) -> None:
        """`process` is this ingest process's own number, which tells its count of associations from the others'."""
        self._custody = custody
        self._draining = Draining(Path(settings.data_dir))
        self._rules = Rules(
            ae_title=settings.ae_title,
            require_called_ae_title=settings.require_called_ae_title,
            allow_calling=frozenset(settings.allow_calling),
            allow_networks=networks(settings.allow_networks),
            max_associations=settings.max_associations,
            max_associations_per_peer=settings.max_associations_per_peer,
        )
        self._patience = Patience(
            idle=settings.idle_timeout_seconds, dimse=settings.dimse_timeout_seconds, pdu=settings.pdu_timeout_seconds
        )
        self._longest_pdu = settings.max_pdu_bytes
        services = (MPPS, COMMITMENT) if settings.storage_commitment else (MPPS,)
        self._negotiator = Negotiator(settings.ae_title, settings.max_pdu_bytes, services=services)
        self._windows = Windows()
        self._expectations = Expectations(Path(settings.data_dir) / "edge.db")
        self._reports = Reports(settings.ae_title, settings.commitment_reports)
        self._census = Census(Path(settings.data_dir) / "run" / "census", process)
        self._attendance = OwnAttendance(Path(settings.data_dir) / "run" / FILE, process)
        self._lobby = Lobby(
            listener,
            LobbyRules(
                artim_seconds=settings.artim_timeout_seconds,
                most=HALF_OPEN_FACTOR * settings.max_associations,
                proxy_from=networks(settings.proxy_from),
            ),
            welcome=self._welcome,
            ended=_count,
        )
        self._lock = threading.Lock()
        self._open: dict[Connection, threading.Thread] = {}
        self._stopping = False

    def start(self) -> None:
        """Serve."""
        self._lobby.start()

    def alive(self) -> bool:
        """Whether a modality that comes is let in."""
        return self._lobby.alive()

    def associations(self) -> int:
        """How many are open, in all processes of the node; checks of the balancer do not count."""
        return self._census.total()

    def stop(self, grace_seconds: float) -> None:
        """Take no new association, let open ones finish, then cut those that have not. Never waits for a peer."""
        self._lobby.stop()
        deadline = time.monotonic() + grace_seconds
        while self._threads() and time.monotonic() < deadline:
            time.sleep(0.02)
        self._stopping = True
        with self._lock:
            for connection in self._open:
                connection.abort(pdu.abort(pdu.NOT_SPECIFIED))
        until = time.monotonic() + ABORT_SECONDS
        for thread in self._threads():
            thread.join(max(0.0, until - time.monotonic()))
        self._census.close()
        self._attendance.close()
        self._expectations.close()
        self._reports.stop()

    def _threads(self) -> list[threading.Thread]:
        with self._lock:
            return list(self._open.values())

    def _welcome(self, visitor: Visitor, caller: Caller) -> None:
        """An association of its own, or its refusal."""
        facts = AssociationFacts(
            calling_ae_title=caller.head.calling_ae_title,
            called_ae_title=caller.head.called_ae_title,
            peer_address=visitor.address,
        )
        peer = f"{facts.peer_address} {facts.calling_ae_title}"
        check = visitor.is_check
        crowd = Crowd(
            total=0 if check else self._census.total(),
            of_this_peer=0 if check else self._census.of(peer),
            room_on_disk=self._custody.has_room(),
            draining=self._draining.is_on(),
        )
        rejection = refuse(CHECKS if check else self._rules, caller.head, facts.peer_address, crowd)
        if rejection is not None:
            _say(rejection, facts)
            raise Unwelcome(rejection.name, pdu.rejection(rejection.result, rejection.source, rejection.reason))
        visitor.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, UNREAD_ANSWERS)
        connection = Connection(visitor.sock, self._patience, self._windows, caller.rest)
        if check:
            serve = functools.partial(self._answer_check, connection, caller.request, facts)
        else:
            facts = replace(facts, association=self._attendance.enter())
            self._census.enter(peer)
            serve = functools.partial(self._serve, connection, caller.request, facts, peer)
        thread = threading.Thread(target=serve, daemon=True)
        with self._lock:
            self._open[connection] = thread
        thread.start()

    def _serving(self, connection: Connection, request: bytes, facts: AssociationFacts) -> Serving:
        return Serving(
            connection,
            request,
            facts,
            custody=self._custody,
            expectations=self._expectations,
            negotiator=self._negotiator,
            longest_pdu=self._longest_pdu,
            later=self._reports.tell,
        )

    def _answer_check(self, connection: Connection, request: bytes, facts: AssociationFacts) -> None:
        """A balancer asks every second or two, for years: it is counted, and not told of."""
        end = self._serving(connection, request, facts).run()
        metrics.ASSOCIATIONS.labels(outcome="health-check").inc()
        connection.close(b"" if end.abort is None else pdu.abort(end.abort))
        with self._lock:
            self._open.pop(connection, None)

    def _serve(self, connection: Connection, request: bytes, facts: AssociationFacts, peer: str) -> None:
        end: AssociationEnded = self._serving(connection, request, facts).run()
        if self._stopping and not isinstance(end, Released):
            end = Stopping()
        metrics.ASSOCIATIONS.labels(outcome=end.outcome).inc()
        log.log(
            30 if end.hint else 20,
            "ingest.association_ended",
            outcome=end.outcome,
            calling_ae_title=facts.calling_ae_title,
            peer_address=facts.peer_address,
            **({"hint": end.hint} if end.hint else {}),
        )
        connection.close(b"" if end.abort is None else pdu.abort(end.abort))
        with self._lock:
            self._open.pop(connection, None)
            if not self._stopping:
                self._census.leave(peer)
                self._attendance.leave(facts.association)


def _say(rejection: Rejection, facts: AssociationFacts) -> None:
    log.warning(
        "ingest.association_rejected",
        reason=rejection.name,
        calling_ae_title=facts.calling_ae_title,
        called_ae_title=facts.called_ae_title,
        peer_address=facts.peer_address,
        hint=rejection.hint,
    )


def _count(outcome: str, peer_address: str) -> None:
    metrics.ASSOCIATIONS.labels(outcome=outcome).inc()
    if not outcome.startswith("rejected-"):
        log.info("ingest.no_association", outcome=outcome, peer_address=peer_address)
