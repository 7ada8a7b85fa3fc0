"""REST of studies and receptions."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Path, Query
from fastapi.responses import StreamingResponse

from control.auth import Viewer
from control.db.base import EPOCH
from control.deliveries.changes import Progress
from control.errors import InvalidCursor
from control.filters.parser import read_filter
from control.filters.tokens import MAX_LENGTH
from control.injection import provided
from control.paging import DEFAULT_LIMIT, MAX_LIMIT, Cursor, Limit, read_cursor, write_cursor
from control.studies.export import EXPORT_PAGE, csv_of
from control.studies.query import StudyPlace, StudyQuery, text_words
from control.studies.receptions import ReceptionPlace, ReceptionQuery
from control.studies.schemas import ReceptionPage, StudyPage, StudyTrace
from control.studies.service import StudyService
from control.written import Day

router = APIRouter(tags=["studies"])
Studies = Annotated[StudyService, Depends(provided(StudyService))]

NO_STUDY = "-"
"""Stands in a path for the empty UID: the objects that name no study. Never a UID (PS3.5 9.1)."""

WITHOUT_NUL = r"^[^\x00]*$"
"""PostgreSQL cannot even compare with it."""
Uid = Annotated[str | None, Query(max_length=256, pattern=WITHOUT_NUL)]
Beginning = Annotated[
    str | None, Query(max_length=256, pattern=WITHOUT_NUL, description="Exact; a `*` at the end asks for a beginning.")
]


Filter = Annotated[
    str | None,
    Query(
        max_length=MAX_LENGTH,
        description='Such as `PatientID = "123" AND (Modality = CT OR NOT StudyDate < 2026-01-01)`.',
    ),
]
CSV = "text/csv"


class Format(StrEnum):
    """How studies are answered."""

    JSON = "json"
    CSV = "csv"


def _asked(
    caller: Viewer,
    filter: Filter = None,  # noqa: A002 - the word of the API
    patient_id: Beginning = None,
    accession_number: Beginning = None,
    modality: Annotated[str | None, Query(max_length=16, pattern=WITHOUT_NUL)] = None,
    study_date_from: Day | None = None,
    study_date_to: Day | None = None,
    site: Annotated[str | None, Query(max_length=63, pattern=WITHOUT_NUL)] = None,
    state: Progress | None = None,
    study_instance_uid: Uid = None,
    sop_instance_uid: Uid = None,
    q: Annotated[str | None, Query(max_length=256, pattern=WITHOUT_NUL, description="Beginnings of words.")] = None,
    cursor: Cursor = None,
) -> StudyQuery:
    """What is asked, narrowed to the sites that the caller may see."""
    return StudyQuery(
        filter=read_filter(filter) if filter and not filter.isspace() else None,
        patient_id=patient_id or None,
        accession_number=accession_number or None,
        modality=modality or None,
        study_date_from=study_date_from,
        study_date_to=study_date_to,
        site=site or None,
        state=state,
        study_instance_uid=study_instance_uid or None,
        sop_instance_uid=sop_instance_uid or None,
        text=text_words(q),
        within=caller.sites(),
        after=_study_place(cursor) if cursor else None,
    )


@router.get(
    "/studies",
    operation_id="search_studies",
    response_model=StudyPage,
    responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}}},
)
async def search_studies(
    studies: Studies,
    asked: Annotated[StudyQuery, Depends(_asked)],
    limit: Annotated[
        int | None, Query(ge=1, le=MAX_LIMIT, description="The most items on one page; CSV without it: all.")
    ] = None,
    format: Annotated[  # noqa: A002 - the word of the API
        Format | None, Query(description="Without it, what `Accept` prefers.")
    ] = None,
    accept: Annotated[str, Header(include_in_schema=False)] = "",
) -> StudyPage | StreamingResponse:
    """Studies of all sites, the newest first, with how far they are and how old the answer is for each site.

    Every part of the question must hold for what one and the same site knows of the study.
    """
    if (format or preferred(accept)) is Format.CSV:
        # The first page is read here, so that what cannot be answered is a problem and not half a file.
        first = await studies.search(replace(asked, limit=min(limit or EXPORT_PAGE, EXPORT_PAGE)))
        return StreamingResponse(
            csv_of(studies, asked, first, limit),
            media_type=f"{CSV}; charset=utf-8",
            headers={"Content-Disposition": 'attachment; filename="studies.csv"'},
        )
    items, place, heard = await studies.search(replace(asked, limit=limit or DEFAULT_LIMIT))
    more = write_cursor(_microseconds(place.listed_at), place.study_instance_uid) if place else None
    return StudyPage(items=list(items), next_cursor=more, sites_heard=heard)


# `:path`, because a peer may have put a slash where PS3.5 9.1 allows digits and dots; it must be traced too.
@router.get("/studies/{study_instance_uid:path}/trace", operation_id="trace_study")
async def trace_study(
    caller: Viewer,
    studies: Studies,
    study_instance_uid: Annotated[str, Path(max_length=256, pattern=WITHOUT_NUL)],
    limit: Limit = MAX_LIMIT,
    cursor: Cursor = None,
) -> StudyTrace:
    """Where every object of a study came from and how far it is. `-` is the study of objects that name none."""
    uid = "" if study_instance_uid == NO_STUDY else study_instance_uid
    query = ReceptionQuery(
        study_instance_uid=uid,
        within=caller.sites(),
        after=_reception_place(cursor) if cursor else None,
        limit=limit,
    )
    study, items, place, heard = await studies.trace(query, uid)
    return StudyTrace(study=study, instances=items, next_cursor=_reception_cursor(place), sites_heard=heard)


@router.get("/instances", operation_id="list_instances")
async def list_instances(
    caller: Viewer,
    studies: Studies,
    study_instance_uid: Uid = None,
    series_instance_uid: Uid = None,
    sop_instance_uid: Uid = None,
    site: Annotated[str | None, Query(max_length=63, pattern=WITHOUT_NUL)] = None,
    node_id: Annotated[str | None, Query(max_length=64, pattern=WITHOUT_NUL)] = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> ReceptionPage:
    """Receptions of objects, the oldest first. The same object twice is two of them."""
    query = ReceptionQuery(
        study_instance_uid=study_instance_uid or None,
        series_instance_uid=series_instance_uid or None,
        sop_instance_uid=sop_instance_uid or None,
        site=site or None,
        node_id=node_id or None,
        within=caller.sites(),
        after=_reception_place(cursor) if cursor else None,
        limit=limit,
    )
    items, place, heard = await studies.receptions(query)
    return ReceptionPage(items=items, next_cursor=_reception_cursor(place), sites_heard=heard)


def preferred(accept: str) -> Format:
    """What an `Accept` header asks for: JSON unless CSV is named and JSON is not (pure)."""
    named = {one.partition(";")[0].strip().lower() for one in accept.split(",")}
    return Format.CSV if CSV in named and "application/json" not in named else Format.JSON


def _microseconds(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)


def _moment(microseconds: int) -> datetime:
    try:
        return EPOCH + timedelta(microseconds=microseconds)
    except OverflowError:  # a forged cursor
        raise InvalidCursor from None


def _study_place(cursor: str) -> StudyPlace:
    at, uid = read_cursor(cursor, int, str)
    return StudyPlace(listed_at=_moment(int(at)), study_instance_uid=str(uid))


def _reception_place(cursor: str) -> ReceptionPlace:
    at, node_id, instance_id = read_cursor(cursor, int, str, str)
    return ReceptionPlace(listed_at=_moment(int(at)), node_id=str(node_id), instance_id=str(instance_id))


def _reception_cursor(place: ReceptionPlace | None) -> str | None:
    if place is None:
        return None
    return write_cursor(_microseconds(place.listed_at), place.node_id, place.instance_id)
