"""REST of nodes."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends

from control.auth import SiteAdmin, Viewer
from control.clock import utcnow
from control.errors import UnknownNode
from control.injection import provided
from control.nodes.reports import NodeFacts
from control.nodes.schemas import NodeItem, node_item
from control.nodes.service import NodeService
from control.paging import DEFAULT_LIMIT, Cursor, Limit, Page, read_cursor, write_cursor
from control.principals import Principal, Role

router = APIRouter(tags=["nodes"])
Nodes = Annotated[NodeService, Depends(provided(NodeService))]


@router.get("/nodes", operation_id="list_nodes")
async def list_nodes(
    caller: Viewer,
    nodes: Nodes,
    site: str | None = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[NodeItem]:
    """All nodes of the sites that the caller may see, revoked ones too."""
    after = str(read_cursor(cursor, str)[0]) if cursor else ""
    found = await nodes.page(site=site, after=after, limit=limit, scope=caller.sites())
    more = write_cursor(found[-1].id) if len(found) == limit else None
    now = utcnow()
    return Page(items=[node_item(one, now) for one in found], next_cursor=more)


@router.get("/nodes/{node_id}", operation_id="get_node")
async def get_node(caller: Viewer, nodes: Nodes, node_id: str) -> NodeItem:
    """One node."""
    return node_item(await _seen(caller, nodes, node_id), utcnow())


@router.post("/nodes/{node_id}/revoke", operation_id="revoke_node")
async def revoke_node(caller: SiteAdmin, nodes: Nodes, node_id: str) -> NodeItem:
    """Refuse a node from now on, on every call. Its site goes on working alone."""
    caller.require(Role.SITE_ADMIN, (await _seen(caller, nodes, node_id)).site)
    return node_item(await nodes.revoke(node_id, actor=caller.actor), utcnow())


async def _seen(caller: Principal, nodes: NodeService, node_id: str) -> NodeFacts:
    """The node, when it is of a site that the caller may see; another one is as good as unknown."""
    node = await nodes.get(node_id)
    if not caller.may(Role.VIEWER, node.site):
        raise UnknownNode
    return node
