"""Studies as CSV (RFC 4180), page by page: as many as there are, in the memory of one page."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from control.audit.export import csv_line
from control.fleet.ages import SiteAgeItem
from control.studies.query import StudyPlace, StudyQuery
from control.studies.schemas import StudyItem
from control.studies.service import StudyService

EXPORT_PAGE = 500

SILENT = frozenset({"silent", "never"})
"""States of a site of which an answer may be older than what is so."""

COLUMNS = (
    "study_instance_uid", "patient_id", "issuer_of_patient_id", "patient_name", "patient_birth_date", "patient_sex",
    "accession_number", "study_date", "study_time", "study_description", "modalities", "sites", "received",
    "delivered", "waiting", "parked", "superseded", "unrouted", "first_received_at", "last_received_at",
    "silent_sites",
)  # fmt: skip

Found = tuple[Sequence[StudyItem], StudyPlace | None, list[SiteAgeItem]]


async def csv_of(studies: StudyService, asked: StudyQuery, first: Found, limit: int | None) -> AsyncIterator[str]:
    """The lines; `limit` studies, or all. `first` is the first page."""
    yield csv_line(COLUMNS)
    (items, place, heard), shown = first, 0
    while True:
        ages = {one.site: one for one in heard}
        yield "".join(csv_line(row_of(one, ages)) for one in items)
        shown += len(items)
        left = EXPORT_PAGE if limit is None else limit - shown
        if place is None or left <= 0:
            return
        items, place, heard = await studies.search(replace(asked, after=place, limit=min(left, EXPORT_PAGE)))


def row_of(item: StudyItem, ages: Mapping[str, SiteAgeItem]) -> Sequence[str]:
    """One study in the order of the columns (pure)."""
    sites = [one.site for one in item.sites]
    special = {
        "modalities": " ".join(item.modalities),
        "sites": " ".join(sites),
        "silent_sites": "; ".join(last_word(ages[site]) for site in sites if site in ages and is_silent(ages[site])),
    }
    return [special[name] if name in special else _cell(getattr(item, name)) for name in COLUMNS]


def is_silent(age: SiteAgeItem) -> bool:
    """Whether the site may have done more than is known here."""
    return age.state in SILENT


def last_word(age: SiteAgeItem) -> str:
    """When a silent site was last heard of, in words."""
    at = age.last_heard_at
    return f"{age.site} never heard of" if at is None else f"{age.site} last heard at {at:%Y-%m-%dT%H:%M:%SZ}"


def _cell(value: object) -> str:
    if value is None:
        return ""
    return value.isoformat() if isinstance(value, datetime) else str(value)
