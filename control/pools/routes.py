"""REST of pools."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path

from control.auth import Operator, Viewer
from control.injection import provided
from control.pools.schemas import NewWord, PoolsList, SitePoolsItem
from control.pools.service import PoolService

router = APIRouter(tags=["pools"])
Pools = Annotated[PoolService, Depends(provided(PoolService))]
NodeName = Annotated[str, Path(max_length=63, pattern=r"^[A-Za-z0-9-]+$")]


@router.get("/pools", operation_id="list_pools")
async def list_pools(caller: Viewer, pools: Pools) -> PoolsList:
    """The HAProxy pools of the sites that the caller may see."""
    return PoolsList(items=[SitePoolsItem.model_validate(one) for one in await pools.of(caller.sites())])


@router.get("/sites/{site}/pools", operation_id="get_site_pools")
async def get_site_pools(_caller: Viewer, pools: Pools, site: str) -> PoolsList:
    """The pools of one site: what is wanted, what people said, and what its managers last reported."""
    return PoolsList(items=[SitePoolsItem.model_validate(one) for one in await pools.of(None, site)])


@router.post("/sites/{site}/pools/{node}/say", operation_id="say_of_pool_member")
async def say_of_pool_member(caller: Operator, pools: Pools, site: str, node: NodeName, body: NewWord) -> SitePoolsItem:
    """Let a node drain, rest or come back, or give it another share. The site's manager does it within seconds."""
    found = await pools.say(
        site,
        node,
        state=body.state,
        weight=body.weight,
        deadline_seconds=body.deadline_seconds,
        last=body.last,
        actor=caller.actor,
    )
    return SitePoolsItem.model_validate(found)
