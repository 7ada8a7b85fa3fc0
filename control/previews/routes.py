"""REST of previews."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Query

from control.auth import Viewer
from control.injection import provided
from control.names import NAME
from control.policies.routes import Document, yaml_body
from control.previews.schemas import PreviewItem, preview_item
from control.previews.service import MOST_SITES, PreviewService
from control.previews.tally import Difference

router = APIRouter(tags=["policies"])
Previews = Annotated[PreviewService, Depends(provided(PreviewService))]
SiteName = Annotated[str, Query(pattern=f"^{NAME.pattern}$")]
LONGEST_SECONDS = 366 * 86_400


@router.post("/policies/preview", operation_id="preview_policy", openapi_extra=yaml_body(required=True))
async def preview_policy(
    caller: Viewer,
    previews: Previews,
    document: Document,
    site: Annotated[list[SiteName] | None, Query(max_length=MOST_SITES, description="None: all that you see.")] = None,
    since_seconds: Annotated[int, Query(ge=1, le=LONGEST_SECONDS, description="Studies that began since.")] = 86_400,
    listed: Annotated[Difference | None, Query(alias="list", description="Which studies `items` holds.")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> PreviewItem:
    """Say what a policy would change for what these sites told of, beside what they shall run now. Keeps nothing.

    A condition that reads what the centre does not hold is an open question: such studies count as `untold`.
    """
    found = await previews.preview(
        document,
        site or (),
        since=timedelta(seconds=since_seconds),
        listed=listed,
        limit=limit,
        scope=caller.sites(),
    )
    return preview_item(found)
