"""REST of sites."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends

from control.auth import Admin, SiteAdmin, Viewer
from control.injection import provided
from control.paging import DEFAULT_LIMIT, Cursor, Limit, Page, read_cursor, write_cursor
from control.sites.schemas import NewSite, SiteApproval, SiteItem
from control.sites.service import SiteService

router = APIRouter(tags=["sites"])
Sites = Annotated[SiteService, Depends(provided(SiteService))]


@router.get("/sites", operation_id="list_sites")
async def list_sites(
    caller: Viewer, sites: Sites, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> Page[SiteItem]:
    """The sites that the caller may see, by name."""
    after = str(read_cursor(cursor, str)[0]) if cursor else ""
    found = await sites.page(after=after, limit=limit, scope=caller.sites())
    more = write_cursor(found[-1].name) if len(found) == limit else None
    return Page(items=[SiteItem.model_validate(one) for one in found], next_cursor=more)


@router.post("/sites", status_code=201, operation_id="add_site")
async def add_site(caller: Admin, sites: Sites, body: NewSite) -> SiteItem:
    """Add a site. Its name cannot be changed later: certificates hold it."""
    return SiteItem.model_validate(await sites.add(body.name, actor=caller.actor))


@router.post("/sites/{site}/approval", operation_id="set_site_approval")
async def set_site_approval(caller: SiteAdmin, sites: Sites, site: str, body: SiteApproval) -> SiteItem:
    """Say whether boxes that join this site wait for a person, unless their token says otherwise."""
    return SiteItem.model_validate(await sites.set_approval(site, needed=body.needed, actor=caller.actor))
