"""REST of roll-outs."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query, Response

from control.auth import SiteAdmin, Viewer
from control.db.base import EPOCH
from control.errors import InvalidCursor, UnknownSite
from control.injection import provided
from control.paging import DEFAULT_LIMIT, Cursor, Limit, Page, read_cursor, write_cursor
from control.policy_errors import UnknownRollout
from control.principals import Principal, Role
from control.rollouts.schemas import NewRollout, RolloutItem, RolloutSummary, item, summary
from control.rollouts.service import RolloutService
from control.rollouts.states import Happening
from control.rollouts.view import RolloutView

router = APIRouter(tags=["rollouts"])
Rollouts = Annotated[RolloutService, Depends(provided(RolloutService))]
IfMatch = Annotated[
    str | None, Header(max_length=1024, description="An ETag of this roll-out: another state is refused with 412.")
]


@router.post("/rollouts", status_code=201, operation_id="start_rollout")
async def start_rollout(caller: SiteAdmin, rollouts: Rollouts, body: NewRollout, response: Response) -> RolloutItem:
    """Give a policy to few nodes first, then to more, and back by itself when they do not bear it.

    The document becomes the next version of each site. Until its end nobody else publishes at these sites.
    """
    for site in body.sites:
        if not caller.may(Role.VIEWER, site):
            raise UnknownSite
        caller.require(Role.SITE_ADMIN, site)
    started = await rollouts.start(
        body.sites,
        body.document.encode("utf-8", "replace"),
        waves=body.waves,
        soak_seconds=body.soak_seconds,
        gates=body.gates.gates(),
        actor=caller.actor,
    )
    return _item(caller, started, response)


@router.get("/rollouts", operation_id="list_rollouts")
async def list_rollouts(
    caller: Viewer,
    rollouts: Rollouts,
    site: Annotated[str | None, Query(max_length=63, pattern=r"^[a-z0-9-]*$")] = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[RolloutSummary]:
    """Roll-outs over sites that the caller may see, from the newest back."""
    found = await rollouts.page(scope=caller.sites(), site=site, before=_place(cursor), limit=limit)
    more = None
    if len(found) == limit:
        more = write_cursor((found[-1].started_at - EPOCH) // timedelta(microseconds=1), found[-1].id)
    return Page(items=[summary(one, caller.sites()) for one in found], next_cursor=more)


@router.get("/rollouts/{rollout_id}", operation_id="get_rollout")
async def get_rollout(caller: Viewer, rollouts: Rollouts, rollout_id: str, response: Response) -> RolloutItem:
    """One roll-out with its nodes and steps. The ETag changes with each step."""
    return _item(caller, await _seen(caller, rollouts, rollout_id), response)


@router.post("/rollouts/{rollout_id}/pause", operation_id="pause_rollout")
async def pause_rollout(
    caller: SiteAdmin, rollouts: Rollouts, rollout_id: str, response: Response, if_match: IfMatch = None
) -> RolloutItem:
    """Begin no further wave. The nodes that have the policy are watched still, and go back when they do not bear it."""
    return await _say(caller, rollouts, rollout_id, Happening.PAUSE, response, if_match)


@router.post("/rollouts/{rollout_id}/resume", operation_id="resume_rollout")
async def resume_rollout(
    caller: SiteAdmin, rollouts: Rollouts, rollout_id: str, response: Response, if_match: IfMatch = None
) -> RolloutItem:
    """Go on after a pause: the wave that was under way is waited for and watched anew."""
    return await _say(caller, rollouts, rollout_id, Happening.RESUME, response, if_match)


@router.post("/rollouts/{rollout_id}/abort", operation_id="abort_rollout")
async def abort_rollout(
    caller: SiteAdmin, rollouts: Rollouts, rollout_id: str, response: Response, if_match: IfMatch = None
) -> RolloutItem:
    """Give whoever has the policy the one before, now."""
    return await _say(caller, rollouts, rollout_id, Happening.ABORT, response, if_match)


async def _say(
    caller: Principal,
    rollouts: RolloutService,
    rollout_id: str,
    happening: Happening,
    response: Response,
    if_match: str | None,
) -> RolloutItem:
    for site in (await _seen(caller, rollouts, rollout_id)).site_names:
        caller.require(Role.SITE_ADMIN, site)
    said = await rollouts.say(rollout_id, happening, actor=caller.actor, if_match=if_match)
    return _item(caller, said, response)


async def _seen(caller: Principal, rollouts: RolloutService, rollout_id: str) -> RolloutView:
    """The roll-out, when it is over a site that the caller may see; another one is as good as unknown."""
    found = await rollouts.get(rollout_id)
    if not any(caller.may(Role.VIEWER, one) for one in found.site_names):
        raise UnknownRollout
    return found


def _item(caller: Principal, view: RolloutView, response: Response) -> RolloutItem:
    response.headers["ETag"] = view.etag
    return item(view, caller.sites())


def _place(cursor: str | None) -> tuple[datetime, str] | None:
    if cursor is None:
        return None
    at, rollout_id = read_cursor(cursor, int, str)
    try:
        return EPOCH + timedelta(microseconds=int(at)), str(rollout_id)
    except OverflowError:
        raise InvalidCursor from None
