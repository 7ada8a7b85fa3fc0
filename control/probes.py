"""/livez, /readyz, /metrics: for supervisors, load balancers and Prometheus. Never of patients; of sites with a key."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from sqlalchemy.exc import SQLAlchemyError

from control.auth import recognised
from control.db.session import Database
from control.db.upgrade import is_current
from control.figures.service import FigureService
from control.injection import provided
from control.principals import Authenticator, Role

router = APIRouter(include_in_schema=False)
Figures = Annotated[FigureService, Depends(provided(FigureService))]


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
async def metrics(connection: Request, figures: Figures, site: str | None = None) -> Response:
    """Prometheus text format: this process, and, for a caller who may see them, the nodes of the sites.

    A key belongs into `authorization: {credentials_file: …}` of the scrape. With `site`: the nodes of that one only.
    """
    own = b"" if site is not None else generate_latest()
    nodes = ""
    if site is not None or "authorization" in connection.headers:
        caller = await recognised(connection, provided(Authenticator)(connection))
        if site is not None:
            caller.require(Role.VIEWER, site)
        nodes = await figures.text(scope=caller.sites(), site=site)
    return Response(own + nodes.encode(), media_type=CONTENT_TYPE_LATEST)
