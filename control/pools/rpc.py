"""The gRPC door of managers. Thin."""

from __future__ import annotations

import grpc

from control.figures.service import FigureService
from control.pools.service import PoolService
from control.sync.reports import read_samples
from control.sync.rpc import MAX_WAIT_SECONDS, Door
from mesh.v1 import pools_pb2, pools_pb2_grpc

FIGURES = "haproxy"
"""The source of a manager's figures, beside those of the node on its box."""


class PoolsServicer(pools_pb2_grpc.PoolsServicer):
    """Pools down, reports up."""

    def __init__(self, door: Door, pools: PoolService, figures: FigureService) -> None:
        self._door, self._pools, self._figures = door, pools, figures

    async def PullPools(  # noqa: N802 - the name in the .proto
        self,
        request: pools_pb2.PullPoolsRequest,
        context: grpc.aio.ServicerContext[pools_pb2.PullPoolsRequest, pools_pb2.PullPoolsResponse],
    ) -> pools_pb2.PullPoolsResponse:
        """Hand out the site's pools, or wait for others."""
        async with self._door.answering(context, "PullPools") as caller:
            wait = min(float(request.wait_seconds), MAX_WAIT_SECONDS)
            found = await self._pools.pull(
                caller, have=request.have_order, refused=request.refused_order, wait_seconds=wait
            )
            if wait:
                await self._door.caller(context)  # it may have been revoked while it waited
        signed = pools_pb2.SignedPools(document=found.document, signature=found.signature) if found else None
        return pools_pb2.PullPoolsResponse(pools=signed)

    async def ReportPools(  # noqa: N802
        self,
        request: pools_pb2.ReportPoolsRequest,
        context: grpc.aio.ServicerContext[pools_pb2.ReportPoolsRequest, pools_pb2.ReportPoolsResponse],
    ) -> pools_pb2.ReportPoolsResponse:
        """Keep what a manager says of its HAProxy."""
        async with self._door.answering(context, "ReportPools") as caller:
            await self._pools.hear(caller, request.report)
            self._figures.hear(caller, read_samples(request.figures), source=FIGURES)
        return pools_pb2.ReportPoolsResponse()
