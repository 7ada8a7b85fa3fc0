"""What a batch of receptions says of studies, series and objects: rows, each key once (pure)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from control.db.upsert import Rows
from control.deliveries.changes import DeliveryChange
from control.instances.received import ReceivedInstance, RouteReason

Row = dict[str, Any]

STUDY_ATTRIBUTES = {
    "patient_id": "PatientID",
    "issuer_of_patient_id": "IssuerOfPatientID",
    "patient_name": "PatientName",
    "patient_birth_date": "PatientBirthDate",
    "patient_sex": "PatientSex",
    "accession_number": "AccessionNumber",
    "study_date": "StudyDate",
    "study_time": "StudyTime",
    "study_description": "StudyDescription",
}
"""Column -> DICOM keyword."""

STUDY_COLUMNS = (*STUDY_ATTRIBUTES, "patient_name_folded")

SERIES_ATTRIBUTES = {
    "modality": "Modality",
    "series_number": "SeriesNumber",
    "series_description": "SeriesDescription",
    "body_part_examined": "BodyPartExamined",
}

_OF_STUDY = tuple(STUDY_ATTRIBUTES.values())
_OF_SERIES = tuple(SERIES_ATTRIBUTES.values())

SEARCHED_KEYWORDS = ("PatientID", "PatientName", "AccessionNumber", "StudyDescription")

ATTRIBUTE_LIMIT = 256
"""Four times what PS3.5 6.2 allows an LO; one entry of an index must stay small."""

MAX_TERMS = 48
TERM_LIMIT = 128
_BETWEEN_WORDS = re.compile(r"[\s^=,;\\]+")


def words(text: str) -> tuple[str, ...]:
    """The words of a text as the search compares them: PS3.5 PN and multi-value separators split like spaces."""
    return tuple(word[:TERM_LIMIT] for word in _BETWEEN_WORDS.split(text.casefold()) if word)


def search_terms(study_instance_uid: str, values: Mapping[str, str]) -> tuple[str, ...]:
    """Everything by whose beginning a study is found. The UID comes first, so that no limit can cut it off."""
    terms: dict[str, None] = dict.fromkeys([study_instance_uid] if study_instance_uid else [])
    for keyword in SEARCHED_KEYWORDS:
        terms.update(dict.fromkeys(words(values.get(keyword, ""))))
    return tuple(terms)[:MAX_TERMS]


SENT_NOWHERE = ("sent", "nowhere")
"""Kind and value of the facet of a study of which some reception had no destination; it may have got one since."""


class _Told(NamedTuple):
    """Receptions that say the same of one study or series at one site."""

    first: datetime
    last: datetime
    order: int
    """Of two sets with the same last moment, the one with the later reception stands."""


@dataclass(frozen=True, slots=True)
class StudyFacts:
    """What a batch says of studies and series, each row once."""

    studies: Sequence[Row]
    sites: Sequence[Row]
    terms: Sequence[Row]
    facets: Sequence[Row]
    series: Sequence[Row]


def study_facts(receptions: Sequence[ReceivedInstance]) -> StudyFacts:
    """Sums the batch up: a thousand objects of a study mostly say the same of it, and are looked at once."""
    studies: dict[tuple[str, ...], _Told] = {}
    series: dict[tuple[str, ...], _Told] = {}
    facets: set[tuple[str, str, str, str]] = set()
    for order, one in enumerate(receptions):
        uid, site, at = one.study_instance_uid, one.site, one.received_at
        get = one.tags.get
        _note(studies, (uid, site, *[get(keyword, "") for keyword in _OF_STUDY]), at, order)
        own = [get(keyword, "") for keyword in _OF_SERIES]
        _note(series, (uid, site, one.series_instance_uid, *own), at, order)
        facets.update(((uid, site, "calling", one.calling_ae_title), (uid, site, "called", one.called_ae_title)))
        facets.add((uid, site, "modality", own[0][:ATTRIBUTE_LIMIT].upper()))
        if not one.destinations:
            facets.add((uid, site, *SENT_NOWHERE))
    return StudyFacts(
        studies=_study_rows(studies),
        sites=_site_rows(studies),
        terms=_term_rows(studies),
        facets=[
            {"study_instance_uid": uid, "site": site, "kind": kind, "value": value}
            for uid, site, kind, value in facets
            if value
        ],
        series=_series_rows(series),
    )


def _note(told: dict[tuple[str, ...], _Told], key: tuple[str, ...], at: datetime, order: int) -> None:
    known = told.get(key)
    if known is None:
        told[key] = _Told(at, at, order)
    elif at >= known.last:
        told[key] = _Told(known.first, at, order)
    elif at < known.first:
        told[key] = known._replace(first=at)


def _in_order(told: Mapping[tuple[str, ...], _Told]) -> list[tuple[tuple[str, ...], _Told]]:
    """The oldest first, so that of two values the one received later stands."""
    return sorted(told.items(), key=lambda one: (one[1].last, one[1].order))


def _study_rows(told: Mapping[tuple[str, ...], _Told]) -> Sequence[Row]:
    listed: dict[str, datetime] = {}
    for (uid, *_), seen in told.items():
        listed[uid] = min(listed.get(uid, seen.first), seen.first)
    return [{"study_instance_uid": uid, "listed_at": at} for uid, at in listed.items()]


def _site_rows(told: Mapping[tuple[str, ...], _Told]) -> Sequence[Row]:
    rows: dict[tuple[str, str], Row] = {}
    for (uid, site, *values), seen in _in_order(told):
        empty = {"study_instance_uid": uid, "site": site, "first_received_at": seen.first}
        row = rows.setdefault((uid, site), empty | dict.fromkeys(STUDY_COLUMNS, ""))
        row["first_received_at"] = min(row["first_received_at"], seen.first)
        row["last_received_at"] = seen.last
        _take_values(row, STUDY_ATTRIBUTES, values)
        row["patient_name_folded"] = row["patient_name"].casefold()
    return list(rows.values())


def _series_rows(told: Mapping[tuple[str, ...], _Told]) -> Sequence[Row]:
    rows: dict[tuple[str, str, str], Row] = {}
    for (uid, site, series, *values), seen in _in_order(told):
        empty = {"study_instance_uid": uid, "series_instance_uid": series, "site": site}
        row = rows.setdefault((uid, series, site), empty | dict.fromkeys(SERIES_ATTRIBUTES, ""))
        row["last_received_at"] = seen.last
        _take_values(row, SERIES_ATTRIBUTES, values)
    return list(rows.values())


def _term_rows(told: Iterable[tuple[str, ...]]) -> Sequence[Row]:
    found = {
        (term, uid, site)
        for uid, site, *values in told
        for term in search_terms(uid, dict(zip(_OF_STUDY, values, strict=True)))
    }
    return [{"term": term, "study_instance_uid": uid, "site": site} for term, uid, site in found]


INSTANCE_COLUMNS = (
    "node_id", "instance_id", "site", "sop_class_uid", "sop_instance_uid", "study_instance_uid",
    "series_instance_uid", "transfer_syntax_uid", "data_set_bytes", "calling_ae_title", "called_ae_title",
    "peer_address", "received_at", "tags", "flags", "policy", "reasons", "destinations", "epoch", "sequence",
    "occurred_at", "listed_at",
)  # fmt: skip


def instance_rows(receptions: Iterable[ReceivedInstance]) -> Rows:
    """One row for each reception; of two events about one, the later sequence stands."""
    latest: dict[tuple[str, str], ReceivedInstance] = {}
    for one in receptions:
        known = latest.setdefault((one.node_id, one.instance_id), one)
        if one.sequence > known.sequence:
            latest[one.node_id, one.instance_id] = one
    reasons: dict[tuple[RouteReason, ...], list[dict[str, Any]]] = {}
    for one in latest.values():
        if one.reasons not in reasons:  # few differ
            reasons[one.reasons] = [reason._asdict() for reason in one.reasons]
    return Rows(INSTANCE_COLUMNS, [_instance_row(one, reasons[one.reasons]) for one in latest.values()])


def _instance_row(one: ReceivedInstance, reasons: list[dict[str, Any]]) -> tuple[Any, ...]:
    return (
        one.node_id, one.instance_id, one.site, one.sop_class_uid, one.sop_instance_uid, one.study_instance_uid,
        one.series_instance_uid, one.transfer_syntax_uid, one.data_set_bytes, one.calling_ae_title,
        one.called_ae_title, one.peer_address, one.received_at, one.tags, one.flags, one.policy,
        reasons, len(one.destinations), one.epoch, one.sequence,
        one.occurred_at, one.received_at,
    )  # fmt: skip


def stub_rows(changes: Iterable[DeliveryChange]) -> tuple[Sequence[Row], Sequence[Row], Sequence[Row]]:
    """Rows (study, study_site, instance) that stand for objects of which only a delivery was heard of so far."""
    studies: dict[str, Row] = {}
    sites: dict[tuple[str, str], Row] = {}
    instances: dict[tuple[str, str], Row] = {}
    for one in changes:
        uid = one.study_instance_uid
        studies.setdefault(uid, {"study_instance_uid": uid, "listed_at": one.occurred_at})
        sites.setdefault((uid, one.site), {"study_instance_uid": uid, "site": one.site})
        instances.setdefault(
            (one.node_id, one.instance_id),
            {
                "node_id": one.node_id,
                "instance_id": one.instance_id,
                "site": one.site,
                "sop_instance_uid": one.sop_instance_uid,
                "study_instance_uid": uid,
                "received_at": None,
                "destinations": None,
                "epoch": one.epoch,
                "sequence": 0,
                "occurred_at": one.occurred_at,
                "listed_at": one.occurred_at,
            },
        )
    return list(studies.values()), list(sites.values()), list(instances.values())


def _take_values(row: Row, attributes: Iterable[str], values: Sequence[str]) -> None:
    for column, value in zip(attributes, values, strict=True):
        if value:
            row[column] = value[:ATTRIBUTE_LIMIT]
