"""REST of figures: what Prometheus shall scrape (http_sd)."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel

from control.auth import Viewer
from control.injection import provided
from control.paging import MAX_LIMIT
from control.sites.service import SiteService

router = APIRouter(tags=["metrics"])
Sites = Annotated[SiteService, Depends(provided(SiteService))]


class Target(BaseModel):
    """A group of targets, as Prometheus' http_sd expects it."""

    targets: list[str]
    labels: dict[str, str]


@router.get("/prometheus/targets", operation_id="list_prometheus_targets")
async def list_prometheus_targets(caller: Viewer, sites: Sites, request: Request) -> list[Target]:
    """One target for each site that the caller may see: the same address with another `site` parameter."""
    here = request.url.netloc
    found: list[Target] = []
    after = ""
    while page := await sites.page(after=after, limit=MAX_LIMIT, scope=caller.sites()):
        for site in page:
            labels = {
                "__scheme__": request.url.scheme,
                "__metrics_path__": "/metrics",
                "__param_site": site.name,
                "job": "skerry-edge",
                "instance": site.name,
            }
            found.append(Target(targets=[here], labels=labels))
        after = page[-1].name
    return found
