"""A filter as SQL conditions on what one site knows of a study.

A study fits when one site's knowledge of it meets the whole filter: patient ids of two hospitals are never mixed, a
site that may not be seen is never looked at, and a pseudonym of one site is never taken for the id of another.
Values are always bound: no text of a filter becomes SQL.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from typing import Any, assert_never

from sqlalchemy import ColumnElement, and_, exists, false, not_, or_

from control.deliveries.changes import Progress
from control.filters.fields import FIELDS, Kind
from control.filters.terms import And, Compare, Days, Not, Or, Sense, Term
from control.instances.facts import words
from control.instances.models import Instance, Series, StudyFacet, StudySite, StudyTerm
from control.studies.patterns import begins_with, fits
from control.studies.states import has_unrouted, in_state, is_sent_nowhere

Sites = tuple[str, ...] | None

COLUMNS: dict[str, Any] = {
    "PatientID": StudySite.patient_id,
    "IssuerOfPatientID": StudySite.issuer_of_patient_id,
    "PatientName": StudySite.patient_name_folded,
    "PatientBirthDate": StudySite.patient_birth_date,
    "AccessionNumber": StudySite.accession_number,
    "StudyInstanceUID": StudySite.study_instance_uid,
    "StudyDate": StudySite.study_date,
    "ReceivedAt": StudySite.first_received_at,
    "Site": StudySite.site,
}
"""What stands in the row itself."""

FACETS = {"Modality": "modality", "CallingAETitle": "calling", "CalledAETitle": "called"}
"""Field -> kind of facet."""


def condition_of(term: Term, dialect: str) -> ColumnElement[bool]:
    """What a row of `study_site` must meet."""
    match term:
        case And(terms):
            return and_(*(condition_of(one, dialect) for one in terms))
        case Or(terms):
            return or_(*(condition_of(one, dialect) for one in terms))
        case Not(inner):
            return not_(condition_of(inner, dialect))
        case Days():
            return _days(term)
        case Compare():
            return _compare(term, dialect)
        case _:
            assert_never(term)


def at(column: Any, sites: Sites) -> Sequence[ColumnElement[bool]]:
    """That something is of one of these sites; nothing is asked for all."""
    if sites is None:
        return ()
    return (column == sites[0],) if len(sites) == 1 else (column.in_(sites),)


def _compare(term: Compare, dialect: str) -> ColumnElement[bool]:
    field = FIELDS[term.field]
    match field.kind:
        case Kind.STATE:
            return in_state("".join(str(part) for part in term.value))
        case Kind.WORDS:
            return _words(term)
        case Kind.DAY if term.field == "ReceivedAt":
            return StudySite.first_received_at.is_(None)
        case Kind.MANY:
            return _several(term, dialect)
        case _:
            return _text(term, dialect)


def _text(term: Compare, dialect: str) -> ColumnElement[bool]:
    column = COLUMNS[term.field]
    value = folded(term)
    if term.sense is Sense.EQUAL:
        return fits(column, value, dialect)
    text = "".join(str(part) for part in value)
    known = column != ""
    match term.sense:
        case Sense.LESS:
            return and_(column < text, known)
        case Sense.AT_MOST:
            return and_(column <= text, known)
        case Sense.MORE:
            return and_(column > text, known)
        case Sense.AT_LEAST:
            return and_(column >= text, known)


def folded(term: Compare) -> tuple[Any, ...]:
    """The value as its field is stored."""
    match term.field:
        case "PatientName":
            return tuple(part.casefold() if isinstance(part, str) else part for part in term.value)
        case "Modality":
            return tuple(part.upper() if isinstance(part, str) else part for part in term.value)
        case _:
            return term.value


def _several(term: Compare, dialect: str) -> ColumnElement[bool]:
    """That some value of several fits."""
    value = folded(term)
    if term.field == "SeriesInstanceUID":
        return _has(Series, fits(Series.series_instance_uid, value, dialect))
    if term.field == "SOPInstanceUID":
        return _has(Instance, fits(Instance.sop_instance_uid, value, dialect))
    return _has(StudyFacet, *_facet_is(term, dialect))


def facet_of(term: Term | None, dialect: str) -> Sequence[ColumnElement[bool]]:
    """What a row of `study_facet` must meet to answer the whole question; nothing when such a row does not know."""
    match term:
        case Compare(field=field) if field in FACETS:
            return _facet_is(term, dialect)
        case Compare(field="State", value=(Progress.UNROUTED,)):
            return is_sent_nowhere(), has_unrouted(StudyFacet)
    return ()


def _facet_is(term: Compare, dialect: str) -> Sequence[ColumnElement[bool]]:
    return StudyFacet.kind == FACETS[term.field], fits(StudyFacet.value, folded(term), dialect)


def _words(term: Compare) -> ColumnElement[bool]:
    asked = words(" ".join(part if isinstance(part, str) else "" for part in term.value))
    found = [_has(StudyTerm, begins_with(StudyTerm.term, word)) for word in dict.fromkeys(asked)]
    return and_(*found) if found else false()


def _has(model: Any, *conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    same = (model.study_instance_uid == StudySite.study_instance_uid, model.site == StudySite.site)
    return exists().where(*same, *conditions)


def _days(term: Days) -> ColumnElement[bool]:
    column = COLUMNS[term.field]
    found: list[ColumnElement[bool]] = []
    if term.field == "ReceivedAt":
        if term.first is not None:
            found.append(column >= datetime.combine(term.first, time(), UTC))
        if term.last is not None:
            found.append(column <= datetime.combine(term.last, time.max, UTC))
        # Without the last one a row that was never received would be neither in nor out.
        return and_(column.is_not(None), *found)
    if term.first is not None:
        found.append(column >= _da(term.first))
    if term.last is not None:
        found += [column <= _da(term.last), column != ""]
    return and_(*found)


def _da(day: date) -> str:
    """PS3.5 DA, also of the first centuries."""
    return day.isoformat().replace("-", "")
