"""Filters made up by Hypothesis, and what they mean in plain Python: the oracle of the SQL."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

from hypothesis import strategies as st

from control.filters.fields import FIELDS, STATES, Kind
from control.filters.terms import And, Compare, Days, Not, Or, Pattern, Sense, Term, Wild

SHAPES = {Wild.MANY: ".*", Wild.ONE: "."}
ORDERS = {
    Sense.LESS: lambda a, b: a < b,
    Sense.AT_MOST: lambda a, b: a <= b,
    Sense.MORE: lambda a, b: a > b,
    Sense.AT_LEAST: lambda a, b: a >= b,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Thing:
    """One reception of one object, and where its deliveries ended."""

    series: str
    sop: str
    calling: str
    called: str
    received_at: datetime
    deliveries: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A study as one site told it."""

    study: str
    site: str
    patient_id: str
    issuer: str
    name: str
    birth_date: str
    accession: str
    study_date: str
    modality: str
    description: str
    things: tuple[Thing, ...] = field(default=())


def meets(place: Place, term: Term) -> bool:
    """Whether what a site knows of a study meets a filter."""
    match term:
        case And(terms):
            return all(meets(place, one) for one in terms)
        case Or(terms):
            return any(meets(place, one) for one in terms)
        case Not(inner):
            return not meets(place, inner)
        case Days():
            return _on_days(place, term)
        case Compare():
            return _compared(place, term)


def _values(place: Place, name: str) -> set[str]:
    things = place.things
    return {
        "PatientID": {place.patient_id},
        "IssuerOfPatientID": {place.issuer},
        "PatientName": {place.name.casefold()},
        "PatientBirthDate": {place.birth_date},
        "AccessionNumber": {place.accession},
        "StudyInstanceUID": {place.study},
        "StudyDate": {place.study_date},
        "Site": {place.site},
        "Modality": {place.modality.upper()} - {""},
        "SeriesInstanceUID": {one.series for one in things},
        "SOPInstanceUID": {one.sop for one in things},
        "CallingAETitle": {one.calling for one in things} - {""},
        "CalledAETitle": {one.called for one in things} - {""},
    }[name]


def _compared(place: Place, term: Compare) -> bool:
    if term.field == "State":
        return term.value[0] in _states(place)
    if term.field == "Text":
        return _has_words(place, "".join(one if isinstance(one, str) else "" for one in term.value))
    if term.field == "ReceivedAt":
        return False
    value = term.value
    if term.field == "PatientName":
        value = tuple(one.casefold() if isinstance(one, str) else one for one in value)
    if term.field == "Modality":
        value = tuple(one.upper() if isinstance(one, str) else one for one in value)
    found = _values(place, term.field)
    if term.sense is Sense.EQUAL:
        shape = "".join(re.escape(one) if isinstance(one, str) else SHAPES[one] for one in value)
        return any(re.fullmatch(shape, one, re.DOTALL) for one in found)
    text = "".join(str(one) for one in value)
    return any(one != "" and ORDERS[term.sense](one, text) for one in found)


def _has_words(place: Place, asked: str) -> bool:
    split = re.compile(r"[\s^=,;\\]+")
    texts = (place.study, place.patient_id, place.name, place.accession, place.description)
    known = {place.study} | {word for text in texts[1:] for word in split.split(text.casefold()) if word}
    wanted = [word for word in split.split(asked.casefold()) if word]
    return bool(wanted) and all(any(one.startswith(word) for one in known) for word in wanted)


def _on_days(place: Place, term: Days) -> bool:
    if term.field == "ReceivedAt":
        day = min(one.received_at for one in place.things).astimezone(UTC).date()
        return (term.first is None or term.first <= day) and (term.last is None or day <= term.last)
    (text,) = _values(place, term.field)
    low = term.first.isoformat().replace("-", "") if term.first else ""
    high = term.last.isoformat().replace("-", "") if term.last else "\U0010ffff"
    return text != "" and low <= text <= high


def _states(place: Place) -> set[str]:
    owed = [state for one in place.things for state in one.deliveries]
    routed = {one.sop for one in place.things if one.deliveries and one.sop}
    unrouted = any(not one.deliveries and one.sop not in routed for one in place.things)
    words = {
        "parked": any(one in {"parked", "quarantined"} for one in owed),
        "waiting": any(one in {"due", "sending", "verifying", "retry_wait", "held", "gathering"} for one in owed),
        "superseded": any(one in {"superseded", "discarded"} for one in owed),
        "unrouted": unrouted,
    }
    words["delivered"] = "delivered" in owed and not (words["parked"] or words["waiting"] or unrouted)
    return {word for word, so in words.items() if so}


ALPHABET = "aAbBß1.%_*?[]\\^ é線'\"()="
texts = st.text(ALPHABET, max_size=4)
days = st.dates(date(2025, 12, 28), date(2026, 1, 4)) | st.dates()


@st.composite
def patterns(draw: st.DrawFn) -> Pattern:
    """Values with wildcards, in their one normal form."""
    found: list[str | Wild] = []
    for part in draw(st.lists(st.sampled_from(Wild) | texts, max_size=4)):
        if isinstance(part, Wild):
            if not (part is Wild.MANY and found[-1:] == [Wild.MANY]):
                found.append(part)
        elif part and found and isinstance(last := found[-1], str):
            found[-1] = last + part
        elif part:
            found.append(part)
    return tuple(found)


@st.composite
def comparisons(draw: st.DrawFn, known: st.SearchStrategy[str] = texts) -> Term:
    """One comparison; some of the values are `known` ones, so that filters find something."""
    one = draw(st.sampled_from(list(FIELDS.values())))
    if one.kind is Kind.STATE:
        return Compare(one.name, Sense.EQUAL, (draw(st.sampled_from(STATES)),))
    if one.kind is Kind.DAY:
        first, last = draw(st.none() | days), draw(st.none() | days)
        if first is None and last is None:
            return Compare(one.name, Sense.EQUAL, ())
        if first is not None and last is not None and last < first:
            first, last = last, first
        return Days(one.name, first, last)
    if one.kind is Kind.TEXT and draw(st.booleans()):
        text = draw(texts | known)
        return Compare(one.name, draw(st.sampled_from(Sense)), (text,) if text else ())
    whole = known.map(lambda text: (text,) if text else ())
    start = known.map(lambda text: (text[:2], Wild.MANY) if text else (Wild.MANY,))
    return Compare(one.name, Sense.EQUAL, draw(patterns() | whole | start))


def terms(known: st.SearchStrategy[str] = texts) -> st.SearchStrategy[Term]:
    """Filters."""
    return st.recursive(
        comparisons(known),
        lambda inner: (
            st.builds(Not, inner)
            | st.builds(And, st.lists(inner, min_size=2, max_size=3).map(tuple))
            | st.builds(Or, st.lists(inner, min_size=2, max_size=3).map(tuple))
        ),
        max_leaves=6,
    )
