"""REST of groups, layers, effective policies, differences and drift."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Header, Path, Query, Response

from control.auth import Admin, Viewer
from control.errors import UnknownNode
from control.injection import provided
from control.names import NAME
from control.paging import DEFAULT_LIMIT, Cursor, Limit, Page, read_cursor, write_cursor
from control.policies.routes import Document, Version, yaml_body
from control.policy_errors import UnknownScope
from control.principals import Role
from control.scopes.schemas import (
    DifferenceItem,
    DriftList,
    EffectiveItem,
    GroupItem,
    Groups,
    LayerItem,
    Member,
    NewGroup,
    difference_item,
    drift_item,
    effective_item,
    layer_item,
)
from control.scopes.service import ScopeService
from control.scopes.views import ScopeViews

router = APIRouter(tags=["scopes"])
Scopes = Annotated[ScopeService, Depends(provided(ScopeService))]
Views = Annotated[ScopeViews, Depends(provided(ScopeViews))]
IfMatch = Annotated[
    str | None, Header(max_length=1024, description="An ETag of this layer: another state is refused with 412.")
]
GroupName = Annotated[str, Path(pattern=f"^{NAME.pattern}$")]
Of = Annotated[int, Query(ge=1, le=(1 << 63) - 1)]
WHOLE_MESH = "all"


def scope_of(
    kind: Literal["mesh", "group", "site", "node"],
    name: Annotated[str, Path(pattern=f"^{NAME.pattern}$", description="`all` for the mesh; of a node its id.")],
) -> str:
    """The scope in a path."""
    if kind != "mesh":
        return f"{kind}/{name}"
    if name != WHOLE_MESH:
        raise UnknownScope(f"The layer of the mesh is mesh/{WHOLE_MESH}.")
    return kind


Scope = Annotated[str, Depends(scope_of)]


@router.get("/groups", operation_id="list_groups")
async def list_groups(_caller: Admin, scopes: Scopes) -> Groups:
    """All groups with their sites."""
    return Groups(items=[GroupItem.model_validate(one) for one in await scopes.groups()])


@router.post("/groups", status_code=201, operation_id="add_group")
async def add_group(caller: Admin, scopes: Scopes, body: NewGroup) -> GroupItem:
    """Add a group without sites."""
    return GroupItem.model_validate(await scopes.add_group(body.name, actor=caller.actor))


@router.post("/groups/{name}/add", operation_id="add_group_site")
async def add_group_site(caller: Admin, scopes: Scopes, name: GroupName, body: Member) -> GroupItem:
    """Put a site into a group. What it runs changes with the next publication of a layer over it."""
    changed = await scopes.change_group(name, body.site, member=True, actor=caller.actor)
    return GroupItem.model_validate(changed)


@router.post("/groups/{name}/remove", operation_id="remove_group_site")
async def remove_group_site(caller: Admin, scopes: Scopes, name: GroupName, body: Member) -> GroupItem:
    """Take a site out of a group. It keeps what it runs until something else is published."""
    changed = await scopes.change_group(name, body.site, member=False, actor=caller.actor)
    return GroupItem.model_validate(changed)


@router.get("/layers/{kind}/{name}", operation_id="list_layers")
async def list_layers(
    _caller: Admin,
    scopes: Scopes,
    scope: Scope,
    response: Response,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[LayerItem]:
    """Versions of one layer from the newest back. The ETag is the state of all of them."""
    response.headers["ETag"] = await scopes.etag(scope)
    before = int(read_cursor(cursor, int)[0]) if cursor else None
    found = await scopes.page(scope, before=before, limit=limit)
    more = write_cursor(found[-1].version) if len(found) == limit else None
    return Page(items=[layer_item(one) for one in found], next_cursor=more)


@router.post(
    "/layers/{kind}/{name}", status_code=201, operation_id="upload_layer", openapi_extra=yaml_body(required=True)
)
async def upload_layer(
    caller: Admin, scopes: Scopes, scope: Scope, document: Document, response: Response, if_match: IfMatch = None
) -> LayerItem:
    """Keep a document as the layer's next version, when all policies that would come of it would load."""
    made = await scopes.upload(scope, document, actor=caller.actor, if_match=if_match)
    response.headers["ETag"] = made.etag
    return layer_item(made)


@router.get("/layers/{kind}/{name}/diff", operation_id="diff_layers")
async def diff_layers(_caller: Admin, views: Views, scope: Scope, before: Of, after: Of) -> DifferenceItem:
    """What two versions of a layer have different."""
    return difference_item(await views.layer_difference(scope, before, after))


@router.get("/layers/{kind}/{name}/{version}", operation_id="get_layer")
async def get_layer(_caller: Admin, scopes: Scopes, scope: Scope, version: Version) -> Response:
    """The document of one version, byte for byte as it was uploaded."""
    return Response(await scopes.document(scope, version), media_type="text/yaml")


@router.post("/layers/{kind}/{name}/{version}/publish", operation_id="publish_layer")
async def publish_layer(
    caller: Admin, scopes: Scopes, scope: Scope, version: Version, response: Response, if_match: IfMatch = None
) -> LayerItem:
    """Let a version count, and publish to each site and node whose policy becomes another text."""
    made = await scopes.publish(scope, version, actor=caller.actor, if_match=if_match)
    response.headers["ETag"] = made.etag
    return layer_item(made)


@router.get("/sites/{site}/effective-policy", operation_id="get_site_effective_policy")
async def get_site_effective_policy(_caller: Viewer, views: Views, site: str) -> EffectiveItem:
    """What a site is to run, and which layer each entry is from."""
    return effective_item(await views.effective(site))


@router.get("/nodes/{node_id}/effective-policy", operation_id="get_node_effective_policy")
async def get_node_effective_policy(caller: Viewer, views: Views, node_id: str) -> EffectiveItem:
    """What a node is to run, and which layer each entry is from."""
    site = await views.site_of(node_id)
    if not caller.may(Role.VIEWER, site):
        raise UnknownNode
    return effective_item(await views.effective(site, node_id))


@router.get("/sites/{site}/policy-diff", operation_id="diff_policies")
async def diff_policies(_caller: Viewer, views: Views, site: str, before: Of, after: Of) -> DifferenceItem:
    """What two versions of a site's policy have different, entry by entry and line by line."""
    return difference_item(await views.difference(site, before, after))


@router.get("/policies/drift", operation_id="list_drift")
async def list_drift(
    caller: Viewer,
    views: Views,
    site: Annotated[str | None, Query(max_length=63, pattern=r"^[a-z0-9-]*$")] = None,
) -> DriftList:
    """Every node that does not run what it shall, and every site that shall not run what its layers say."""
    found = await views.drift(scope=caller.sites(), site=site)
    return DriftList(items=[drift_item(one) for one in found])
