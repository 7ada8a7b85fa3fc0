"""The FastAPI application: which routers there are, and what every answer has in common."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version

from fastapi import APIRouter, FastAPI

from control import http_errors, pages, probes
from control.audit.routes import router as audit
from control.enrolment.approval_routes import router as approvals
from control.enrolment.routes import router as enrolment
from control.figures.routes import router as figures
from control.headers import AnswerHeaders
from control.injection import Provisions
from control.live.routes import router as live
from control.node_commands.routes import router as node_commands
from control.nodes.routes import router as nodes
from control.openapi import describe
from control.overview.routes import router as overview
from control.policies.routes import router as policies
from control.pools.routes import router as pools
from control.previews.routes import router as previews
from control.promises.middleware import Promises
from control.reconciliation.routes import router as reconciliation
from control.rollouts.routes import router as rollouts
from control.scopes.routes import router as scopes
from control.sites.routes import router as sites
from control.studies.routes import router as studies
from control.users.account_routes import router as accounts
from control.users.routes import router as users

API_PREFIX = "/api/v1"


def api_routers() -> Sequence[APIRouter]:
    """Every router under /api/v1, in the order of the documentation."""
    return (
        users,
        accounts,
        sites,
        nodes,
        node_commands,
        enrolment,
        approvals,
        policies,
        previews,
        pools,
        rollouts,
        scopes,
        overview,
        figures,
        reconciliation,
        audit,
        studies,
        live,
    )


def create_app(provisions: Provisions) -> FastAPI:
    """The application over objects that were built already. Starts nothing by itself."""
    app = FastAPI(
        title="Skerry control plane",
        version=version("skerry"),
        openapi_url=f"{API_PREFIX}/openapi.json",
        docs_url=None,
        redoc_url=None,
    )
    provisions.install(app)
    http_errors.install(app)
    app.add_middleware(Promises, provisions=provisions)
    app.add_middleware(AnswerHeaders)
    app.include_router(probes.router)
    app.include_router(pages.router)
    for router in api_routers():
        app.include_router(router, prefix=API_PREFIX)
    describe(app)
    return app
