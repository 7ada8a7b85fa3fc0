"""The uplink that all duties share: it can be exchanged while they use it, and it notices how each call went."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

from edge.errors import UplinkError, UplinkInvalid, UplinkUnreachable
from edge.sync.uplink import Uplink
from mesh.v1.common_pb2 import PolicyBundle
from mesh.v1.enrolment_pb2 import RenewResponse
from mesh.v1.sync_pb2 import (
    Command,
    PullPolicyRequest,
    PushBatchRequest,
    PushBatchResponse,
    ReportCommandRequest,
    ReportStatusRequest,
    ReportStatusResponse,
)

_Answer = TypeVar("_Answer")


class Road:
    """An Uplink in front of the present one."""

    def __init__(
        self,
        uplink: Uplink,
        *,
        on_contact: Callable[[], None],
        on_trouble: Callable[[UplinkError], None],
    ) -> None:
        self._lock = threading.Lock()
        self._uplink = uplink
        self._on_contact = on_contact
        self._on_trouble = on_trouble

    def exchange(self, uplink: Uplink) -> None:
        """Use another uplink from now on. Calls on the old one are ended, and repeated on the new one."""
        with self._lock:
            old, self._uplink = self._uplink, uplink
        old.close()

    def push(self, request: PushBatchRequest) -> PushBatchResponse:
        """Events up, the cumulative ack down."""
        return self._call(lambda uplink: uplink.push(request))

    def pull_policy(self, request: PullPolicyRequest) -> PolicyBundle | None:
        """The site's policy when it differs."""
        return self._call(lambda uplink: uplink.pull_policy(request))

    def report_status(self, request: ReportStatusRequest) -> ReportStatusResponse:
        """What the node runs and how it is."""
        return self._call(lambda uplink: uplink.report_status(request))

    def pull_commands(self) -> Sequence[Command]:
        """What people ask of this node."""
        return self._call(lambda uplink: uplink.pull_commands())

    def report_command(self, request: ReportCommandRequest) -> None:
        """How a command went."""
        self._call(lambda uplink: uplink.report_command(request))

    def renew(self, csr_pem: bytes) -> RenewResponse:
        """A fresh certificate."""
        return self._call(lambda uplink: uplink.renew(csr_pem))

    def close(self) -> None:
        """End every call in flight."""
        self._present().close()

    def _present(self) -> Uplink:
        with self._lock:
            return self._uplink

    def _call(self, ask: Callable[[Uplink], _Answer]) -> _Answer:
        used = self._present()
        try:
            try:
                answer = ask(used)
            except UplinkUnreachable:
                if (newer := self._present()) is used:
                    raise
                answer = ask(newer)
        except UplinkInvalid:
            # It answered; what it cannot read is the affair of the duty that sent it.
            self._on_contact()
            raise
        except UplinkError as error:
            self._on_trouble(error)
            raise
        self._on_contact()
        return answer
