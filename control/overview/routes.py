"""REST of the fleet."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends

from control.auth import Viewer
from control.clock import utcnow
from control.injection import provided
from control.overview.schemas import FleetSite, fleet_site
from control.overview.service import FleetService
from control.paging import DEFAULT_LIMIT, Cursor, Limit, Page, read_cursor, write_cursor

router = APIRouter(tags=["fleet"])
Fleet = Annotated[FleetService, Depends(provided(FleetService))]


@router.get("/fleet", operation_id="get_fleet")
async def get_fleet(
    caller: Viewer, fleet: Fleet, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> Page[FleetSite]:
    """Sites with their nodes: the age of their last word, policy wanted and active, how much waits."""
    after = str(read_cursor(cursor, str)[0]) if cursor else ""
    found = await fleet.page(after=after, limit=limit, scope=caller.sites())
    more = write_cursor(found[-1].site.name) if len(found) == limit else None
    now = utcnow()
    return Page(items=[fleet_site(one, now) for one in found], next_cursor=more)
