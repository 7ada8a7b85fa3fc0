"""REST of policies."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Path, Request, Response

from control.auth import SiteAdmin, Viewer
from control.injection import provided
from control.paging import DEFAULT_LIMIT, Cursor, Limit, Page, read_cursor, write_cursor
from control.policies.schemas import CheckResult, FindingItem, RevisionItem, revision_item
from control.policies.service import MAX_DOCUMENT_BYTES, PolicyService, preview
from control.policy_errors import InvalidPolicy

router = APIRouter(tags=["policies"])
Policies = Annotated[PolicyService, Depends(provided(PolicyService))]


def yaml_body(*, required: bool) -> dict[str, Any]:
    """What the documentation says of a body that is a policy. To check, anything will do: it is what is checked."""
    schema = {"type": "object"} if required else {}
    return {"requestBody": {"required": required, "content": {"text/yaml": {"schema": schema}}}}


async def yaml_document(request: Request) -> bytes:
    """The body, as long as it is no larger than a policy may be."""
    document = bytearray()
    async for piece in request.stream():
        document += piece
        if len(document) > MAX_DOCUMENT_BYTES:
            raise InvalidPolicy(f"A policy has at most {MAX_DOCUMENT_BYTES} bytes.")
    return bytes(document)


Version = Annotated[int, Path(ge=1, le=(1 << 63) - 1)]
IfMatch = Annotated[
    str | None, Header(max_length=1024, description="An ETag of these policies: another state is refused with 412.")
]
Document = Annotated[bytes, Depends(yaml_document)]


@router.post("/policies/check", operation_id="check_policy", openapi_extra=yaml_body(required=False))
async def check_policy(_caller: Viewer, document: Document) -> CheckResult:
    """Say what an edge would say of this document. Keeps nothing."""
    return CheckResult(diagnostics=[FindingItem.model_validate(one) for one in await preview(document)])


@router.get("/sites/{site}/policies", operation_id="list_policies")
async def list_policies(
    _caller: Viewer,
    policies: Policies,
    site: str,
    response: Response,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[RevisionItem]:
    """Versions of a site from the newest back, and what its nodes said of each.

    The ETag is the state of all of them: send it as If-Match to change only what you have seen.
    """
    response.headers["ETag"] = await policies.etag(site)  # before the list: a tag never is newer than what is shown
    before = int(read_cursor(cursor, int)[0]) if cursor else None
    found = await policies.page(site, before=before, limit=limit)
    more = write_cursor(found[-1].version) if len(found) == limit else None
    return Page(items=[revision_item(one) for one in found], next_cursor=more)


@router.post(
    "/sites/{site}/policies", status_code=201, operation_id="upload_policy", openapi_extra=yaml_body(required=True)
)
async def upload_policy(
    caller: SiteAdmin,
    policies: Policies,
    site: str,
    document: Document,
    response: Response,
    if_match: IfMatch = None,
) -> RevisionItem:
    """Keep a document as the site's next version. It runs nowhere until it is published."""
    made = await policies.upload(site, document, actor=caller.actor, if_match=if_match)
    response.headers["ETag"] = made.etag
    return revision_item(made)


@router.get("/sites/{site}/policies/{version}", operation_id="get_policy")
async def get_policy(_caller: Viewer, policies: Policies, site: str, version: Version) -> Response:
    """The document of one version, byte for byte as it was uploaded."""
    return Response(await policies.document(site, version), media_type="text/yaml")


@router.post("/sites/{site}/policies/{version}/publish", operation_id="publish_policy")
async def publish_policy(
    caller: SiteAdmin,
    policies: Policies,
    site: str,
    version: Version,
    response: Response,
    if_match: IfMatch = None,
) -> RevisionItem:
    """Let the site run this version from now on; an older one than before is a way back.

    `warnings` name the attributes that the version before kept from the centre and this one shows.
    """
    active = await policies.publish(site, version, actor=caller.actor, if_match=if_match)
    response.headers["ETag"] = active.etag
    return revision_item(active)
