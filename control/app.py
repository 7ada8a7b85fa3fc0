"""The FastAPI application: which routers there are, and what every answer has in common."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version

from fastapi import APIRouter, FastAPI

from control import http_errors
from control.injection import Provisions

API_PREFIX = "/api/v1"


def api_routers() -> Sequence[APIRouter]:
    """Every router under /api/v1, in the order of the documentation."""
    return (
        # slices of the mesh's data (instances, deliveries, live) are added here
    )


def create_app(provisions: Provisions) -> FastAPI:
    """The application over objects that were built already. Starts nothing by itself."""
    app = FastAPI(title="Skerry control plane", version=version("skerry"), openapi_url=f"{API_PREFIX}/openapi.json")
    provisions.install(app)
    http_errors.install(app)
    for router in api_routers():
        app.include_router(router, prefix=API_PREFIX)
    return app
