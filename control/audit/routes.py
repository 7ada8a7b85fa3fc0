"""REST of the audit trail."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends

from control.audit.schemas import AuditItem, ChainCheck
from control.audit.service import AuditService
from control.auth import Admin
from control.injection import provided
from control.paging import DEFAULT_LIMIT, Cursor, Limit, Page, read_cursor, write_cursor

router = APIRouter(tags=["audit"])
Audit = Annotated[AuditService, Depends(provided(AuditService))]


@router.get("/audit", operation_id="list_audit")
async def list_audit(
    _caller: Admin, audit: Audit, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> Page[AuditItem]:
    """Who changed what, newest first."""
    before = int(read_cursor(cursor, int)[0]) if cursor else None
    entries = await audit.page(before=before, limit=limit)
    more = write_cursor(entries[-1].sequence) if len(entries) == limit else None
    return Page(items=[AuditItem.model_validate(one) for one in entries], next_cursor=more)


@router.get("/audit/check", operation_id="check_audit")
async def check_audit(_caller: Admin, audit: Audit) -> ChainCheck:
    """Walk the whole chain: slow on a long one."""
    broken = await audit.first_break()
    return ChainCheck(intact=broken is None, first_broken_sequence=broken)
