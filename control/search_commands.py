"""`skerry-control search` and `skerry-control trace`: where is my study, and what became of it?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any
from urllib.parse import quote

import typer

from control.client import ApiClient, Problem
from control.console import Shown
from control.errors import NotFound
from control.words import table

PAGE = 500
DEFAULT_LIMIT = 100
STUDY_COLUMNS = (
    "study_instance_uid", "patient_id", "study_date", "modalities", "in", "received", "delivered", "waiting", "parked",
    "unrouted",
)  # fmt: skip
RECEPTION_COLUMNS = (
    "sop_instance_uid", "site", "node_name", "calling_ae_title", "received_at", "policy", "because", "deliveries",
)  # fmt: skip

FilterText = Annotated[
    str, typer.Argument(metavar="FILTER", help="""Such as 'PatientID = "123" AND Modality = CT'. Empty: every study.""")
]


def search(
    api: ApiClient,
    filter: FilterText = "",  # noqa: A002 - the word of the API
    limit: Annotated[int | None, typer.Option(min=1, help="How many at most. [100; with --csv all]")] = None,
    csv: Annotated[bool, typer.Option("--csv", help="As CSV.")] = False,
) -> Shown:
    """Find studies, the newest first."""
    try:
        if csv:
            text = api.text("studies", filter=filter, format="csv", limit=limit)
            return Shown(data={"csv": text}, text=text.rstrip())
        found = _studies(api, filter, limit or DEFAULT_LIMIT)
    except Problem as problem:
        _point(filter, problem)
        raise
    rows = [one | {"in": [place["site"] for place in one["sites"]]} for one in found["items"]]
    return Shown(data=found, text=table(rows, STUDY_COLUMNS), warning=silence(found["sites_heard"]))


def _studies(api: ApiClient, text: str, limit: int) -> dict[str, Any]:
    """As many pages as are asked for, as one."""
    page: dict[str, Any] = api.get("studies", filter=text, limit=min(limit, PAGE))
    items: list[Any] = page["items"]
    while page["next_cursor"] is not None and len(items) < limit:
        page = api.get("studies", filter=text, limit=min(limit - len(items), PAGE), cursor=page["next_cursor"])
        items += page["items"]
    return page | {"items": items}


def _point(text: str, problem: Problem) -> None:
    """Show where a filter cannot be understood. Only here: the server never repeats what was searched for."""
    place = problem.document.get("position")
    if isinstance(place, int) and "\n" not in text:
        typer.echo(f"{text}\n{' ' * (place - 1)}^", err=True)


def trace(
    api: ApiClient, uid: Annotated[str, typer.Argument(help="Of a study, of a series, or of one object.")]
) -> Shown:
    """Where every object was received, why it went where it went, and how each delivery of it stands."""
    found = _traced(api, uid)
    rows = [
        one
        | {
            "because": [why["route"] for why in one["reasons"] if why["matched"]],
            "deliveries": [f"{due['destination']}:{due['state']}" for due in one["deliveries"]],
        }
        for one in found["instances"]
    ]
    told = {one["site"] for one in found["instances"]}
    heard = [one for one in found["sites_heard"] if one["site"] in told]
    return Shown(data=found, text=table(rows, RECEPTION_COLUMNS), warning=silence(heard))


def _traced(api: ApiClient, uid: str) -> dict[str, Any]:
    try:
        return _all_of(api, f"studies/{quote(uid, safe='')}/trace", "instances")
    except Problem as problem:
        if problem.status != 404:
            raise
    for name in ("sop_instance_uid", "series_instance_uid"):
        found = _all_of(api, "instances", "items", **{name: uid})
        if found["items"]:
            return {"instances": found["items"], "sites_heard": found["sites_heard"]}
    raise NotFound("No node has told of a study, series or object of this UID.")


def _all_of(api: ApiClient, path: str, items: str, **query: object) -> dict[str, Any]:
    first: dict[str, Any] = api.get(path, limit=PAGE, **query)
    cursor = first["next_cursor"]
    while cursor is not None:
        page = api.get(path, limit=PAGE, cursor=cursor, **query)
        first[items] += page[items]
        cursor = page["next_cursor"]
    return first


def silence(heard: Sequence[dict[str, Any]]) -> str:
    """Which sites have not been heard of lately, as lines (pure)."""
    silent = (one for one in heard if one["state"] in {"silent", "never"})
    since = ((one["site"], one["last_heard_at"]) for one in silent)
    lines = [
        f"{site} was {f'last heard of at {at}; what it did since' if at else 'never heard of; what it did'}"
        " is not known here."
        for site, at in since
    ]
    return "\n".join(lines)


SEARCHES: Mapping[str, Callable[..., Shown]] = {"search": search, "trace": trace}
"""Commands without a group: the two that people type most."""
