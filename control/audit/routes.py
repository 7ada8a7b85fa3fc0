"""REST of the audit trail."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response
from fastapi.responses import StreamingResponse

from control.audit.export import COLUMNS, csv_line, row_of
from control.audit.query import AuditQuery
from control.audit.schemas import AuditItem, ChainCheck
from control.audit.service import AuditService
from control.auth import Auditor
from control.injection import provided
from control.paging import DEFAULT_LIMIT, Cursor, Limit, Page, read_cursor, write_cursor
from control.principals import Role
from control.written import Moment

router = APIRouter(tags=["audit"])
EXPORT_PAGE = 1000
WITHOUT_NUL = r"^[^\x00]*$"
"""PostgreSQL cannot even compare with it."""


class CsvAnswer(Response):
    """For the documentation."""

    media_type = "text/csv"


Audit = Annotated[AuditService, Depends(provided(AuditService))]


Text = Annotated[
    str | None,
    Query(max_length=255, pattern=WITHOUT_NUL, description="Exact; a `*` at the end asks for a beginning."),
]


def _query(
    caller: Auditor,
    actor: Text = None,
    action: Text = None,
    object: Text = None,  # noqa: A002 - the word of the trail
    site: Text = None,
    since: Annotated[Moment | None, Query(description="At this moment or later.")] = None,
    until: Annotated[Moment | None, Query(description="Before this moment.")] = None,
) -> AuditQuery:
    """What is asked, narrowed to the sites whose trail the caller may read."""
    return AuditQuery(
        actor=actor or None,
        action=action or None,
        object=object or None,
        site=site or None,
        since=since,
        until=until,
        within=caller.sites(Role.AUDITOR),
    )


Asked = Annotated[AuditQuery, Depends(_query)]


@router.get("/audit", operation_id="list_audit")
async def list_audit(
    audit: Audit, asked: Asked, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> Page[AuditItem]:
    """Who changed what, newest first."""
    before = int(read_cursor(cursor, int)[0]) if cursor else None
    entries = await audit.page(asked, before=before, limit=limit)
    more = write_cursor(entries[-1].sequence) if len(entries) == limit else None
    return Page(items=[AuditItem.model_validate(one) for one in entries], next_cursor=more)


@router.get("/audit.csv", operation_id="export_audit", response_class=CsvAnswer)
async def export_audit(audit: Audit, asked: Asked) -> StreamingResponse:
    """The same as CSV, all of it, read page by page."""
    return StreamingResponse(
        _lines(audit, asked),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": 'attachment; filename="audit.csv"'},
    )


async def _lines(audit: AuditService, asked: AuditQuery) -> AsyncIterator[str]:
    yield csv_line(COLUMNS)
    before: int | None = None
    while entries := await audit.page(asked, before=before, limit=EXPORT_PAGE):
        yield "".join(csv_line(row_of(one)) for one in entries)
        before = entries[-1].sequence


@router.get("/audit/check", operation_id="check_audit")
async def check_audit(_caller: Auditor, audit: Audit) -> ChainCheck:
    """Walk the whole chain: slow on a long one."""
    broken = await audit.first_break()
    return ChainCheck(intact=broken is None, first_broken_sequence=broken)
