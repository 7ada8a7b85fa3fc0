"""REST of accounts."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Query

from control.auth import Viewer
from control.clock import utcnow
from control.errors import InvalidQuery
from control.injection import provided
from control.reconciliation.schemas import AccountItem, account_item
from control.reconciliation.service import ReconciliationService

router = APIRouter(tags=["fleet"])
Reconciliation = Annotated[ReconciliationService, Depends(provided(ReconciliationService))]


@router.get("/sites/{site}/account", operation_id="get_site_account")
async def get_site_account(
    _caller: Viewer,
    reconciliation: Reconciliation,
    site: str,
    day: Annotated[date | None, Query(description="A day in UTC; the last 24 hours when nothing is given.")] = None,
) -> AccountItem:
    """What a site received on a day, and how far all of it has come by now: nothing lost, or the list."""
    if day is None:
        until = utcnow()
        since = until - timedelta(days=1)
    else:
        if day > date(9998, 1, 1) or day < date(1970, 1, 1):
            raise InvalidQuery("`day` is no day on which anything was received.")
        since = datetime.combine(day, time(), UTC)
        until = since + timedelta(days=1)
    return account_item(await reconciliation.account(site, since=since, until=until))
