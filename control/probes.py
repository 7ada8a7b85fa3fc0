"""/livez, /readyz, /metrics: for supervisors, load balancers and Prometheus. They tell nothing of patients or sites."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from sqlalchemy.exc import SQLAlchemyError

from control.db.session import Database
from control.db.upgrade import is_current
from control.injection import provided

router = APIRouter(include_in_schema=False)


@router.get("/livez")
async def livez() -> dict[str, str]:
    """The event loop turns."""
    return {"status": "alive"}


@router.get("/readyz")
async def readyz(response: Response, database: Annotated[Database, Depends(provided(Database))]) -> dict[str, str]:
    """The database answers and has this program's schema."""
    try:
        current = await is_current(database)
    except (SQLAlchemyError, OSError):
        response.status_code = 503
        return {"status": "the database does not answer"}
    if not current:
        response.status_code = 503
        return {"status": "the database has the schema of another version"}
    return {"status": "ready"}


@router.get("/metrics")
async def metrics() -> Response:
    """Prometheus text format."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
