"""REST of approval: the boxes that wait, yes, and no."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from control.auth import SiteAdmin
from control.enrolment.approvals import ApprovalService, RequestFacts
from control.enrolment.schemas import Rejection, RequestItem
from control.errors import UnknownEnrolment
from control.injection import provided
from control.principals import Principal, Role

router = APIRouter(tags=["enrolment"])
Approvals = Annotated[ApprovalService, Depends(provided(ApprovalService))]


@router.get("/enrolments", operation_id="list_waiting_enrolments")
async def list_waiting_enrolments(
    caller: SiteAdmin,
    approvals: Approvals,
    site: Annotated[str | None, Query(max_length=63, pattern=r"^[a-z0-9-]*$")] = None,
) -> list[RequestItem]:
    """The boxes that wait for a person, the oldest first."""
    found = await approvals.waiting(scope=caller.sites(Role.SITE_ADMIN), site=site)
    return [RequestItem.model_validate(one) for one in found]


@router.post("/enrolments/{enrolment_id}/approve", operation_id="approve_enrolment")
async def approve_enrolment(caller: SiteAdmin, approvals: Approvals, enrolment_id: str) -> RequestItem:
    """Make a box that waits a node. Compare the fingerprint with what the box shows first."""
    await _seen(caller, approvals, enrolment_id)
    return RequestItem.model_validate(await approvals.approve(enrolment_id, actor=caller.actor))


@router.post("/enrolments/{enrolment_id}/reject", operation_id="reject_enrolment")
async def reject_enrolment(caller: SiteAdmin, approvals: Approvals, enrolment_id: str, body: Rejection) -> RequestItem:
    """Send a box that waits away. The reason is shown at the box."""
    await _seen(caller, approvals, enrolment_id)
    return RequestItem.model_validate(await approvals.reject(enrolment_id, body.reason, actor=caller.actor))


async def _seen(caller: Principal, approvals: ApprovalService, enrolment_id: str) -> RequestFacts:
    found = await approvals.get(enrolment_id)
    if not caller.may(Role.VIEWER, found.site):
        raise UnknownEnrolment
    caller.require(Role.SITE_ADMIN, found.site)
    return found
