"""The wire: pools down, reports up, over the node's mutual TLS."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

import grpc

from edge.errors import UplinkUnreachable
from edge.sync.grpc_uplink import CHANNEL_OPTIONS, translated
from edge.sync.identity import NodeIdentity
from mesh.v1.pools_pb2 import PullPoolsRequest, ReportPoolsRequest, SignedPools
from mesh.v1.pools_pb2_grpc import PoolsStub
from mesh.v1.sync_pb2 import Figure

DEADLINE_SECONDS = 30.0
_Answer = TypeVar("_Answer")


class PoolsUplink(Protocol):
    """What the link asks of the control plane. Every call raises UplinkError when there is no good answer."""

    def pull(self, *, have: int, refused: int, wait_seconds: int) -> SignedPools | None:
        """Pools of another order than these two, or None when the time is up."""
        ...

    def report(self, report: bytes, figures: Sequence[Figure]) -> None:
        """What is so."""
        ...

    def close(self) -> None:
        """Give the connection back."""
        ...


class GrpcPoolsUplink:
    """A `PoolsUplink` as one identity; a renewed one opens another."""

    def __init__(self, identity: NodeIdentity) -> None:
        credentials = grpc.ssl_channel_credentials(
            root_certificates=identity.ca_pem,
            private_key=identity.key_pem,
            certificate_chain=identity.certificate_pem,
        )
        self._channel = grpc.secure_channel(identity.grpc_endpoint, credentials, options=CHANNEL_OPTIONS)
        self._pools = PoolsStub(self._channel)

    def pull(self, *, have: int, refused: int, wait_seconds: int) -> SignedPools | None:
        """See `PoolsUplink`."""
        request = PullPoolsRequest(have_order=have, refused_order=refused, wait_seconds=wait_seconds)
        answer = _ask(lambda: self._pools.PullPools(request, timeout=DEADLINE_SECONDS + wait_seconds))
        return answer.pools if answer.HasField("pools") else None

    def report(self, report: bytes, figures: Sequence[Figure]) -> None:
        """See `PoolsUplink`."""
        request = ReportPoolsRequest(report=report, figures=figures)
        _ask(lambda: self._pools.ReportPools(request, timeout=DEADLINE_SECONDS))

    def close(self) -> None:
        """See `PoolsUplink`."""
        self._channel.close()


def _ask(call: Callable[[], _Answer]) -> _Answer:
    try:
        return call()
    except grpc.RpcError as error:
        raise translated(error) from error
    except ValueError as error:  # what grpc raises for a call on a closed channel
        raise UplinkUnreachable(f"The connection is closed: {error}") from error
