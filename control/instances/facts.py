"""What a batch of receptions says of studies, series and objects: rows, each key once (pure)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from control.deliveries.changes import DeliveryChange
from control.instances.received import ReceivedInstance

Row = dict[str, Any]

STUDY_ATTRIBUTES = {
    "patient_id": "PatientID",
    "patient_name": "PatientName",
    "patient_birth_date": "PatientBirthDate",
    "patient_sex": "PatientSex",
    "accession_number": "AccessionNumber",
    "study_date": "StudyDate",
    "study_time": "StudyTime",
    "study_description": "StudyDescription",
}
"""Column -> DICOM keyword."""

SERIES_ATTRIBUTES = {
    "modality": "Modality",
    "series_number": "SeriesNumber",
    "series_description": "SeriesDescription",
    "body_part_examined": "BodyPartExamined",
}

SEARCHED_KEYWORDS = ("PatientID", "PatientName", "AccessionNumber", "StudyDescription")

ATTRIBUTE_LIMIT = 256
"""Four times what PS3.5 6.2 allows an LO; one entry of an index must stay small."""

MAX_TERMS = 48
TERM_LIMIT = 128
_BETWEEN_WORDS = re.compile(r"[\s^=,;\\]+")


def words(text: str) -> tuple[str, ...]:
    """The words of a text as the search compares them: PS3.5 PN and multi-value separators split like spaces."""
    return tuple(word[:TERM_LIMIT] for word in _BETWEEN_WORDS.split(text.casefold()) if word)


def search_terms(study_instance_uid: str, received: ReceivedInstance) -> tuple[str, ...]:
    """Everything by whose beginning a study is found. The UID comes first, so that no limit can cut it off."""
    terms: dict[str, None] = dict.fromkeys([study_instance_uid] if study_instance_uid else [])
    for keyword in SEARCHED_KEYWORDS:
        terms.update(dict.fromkeys(words(received.tags.get(keyword, ""))))
    return tuple(terms)[:MAX_TERMS]


def study_rows(receptions: Iterable[ReceivedInstance]) -> Sequence[Row]:
    """One row for each study; the earliest reception lists it."""
    rows: dict[str, Row] = {}
    for one in receptions:
        row = rows.setdefault(
            one.study_instance_uid,
            {"study_instance_uid": one.study_instance_uid, "listed_at": one.received_at},
        )
        row["listed_at"] = min(row["listed_at"], one.received_at)
    return list(rows.values())


def study_site_rows(receptions: Iterable[ReceivedInstance]) -> Sequence[Row]:
    """One row for each study of a site; of two values the one received later stands, an empty one never does."""
    rows: dict[tuple[str, str], Row] = {}
    for one in sorted(receptions, key=lambda one: one.received_at):
        row = rows.setdefault(
            (one.study_instance_uid, one.site),
            {
                "study_instance_uid": one.study_instance_uid,
                "site": one.site,
                "first_received_at": one.received_at,
            }
            | dict.fromkeys(STUDY_ATTRIBUTES, ""),
        )
        row["last_received_at"] = one.received_at
        _take_values(row, STUDY_ATTRIBUTES, one)
    return list(rows.values())


def series_rows(receptions: Iterable[ReceivedInstance]) -> Sequence[Row]:
    """One row for each series of a site."""
    rows: dict[tuple[str, str, str], Row] = {}
    for one in sorted(receptions, key=lambda one: one.received_at):
        row = rows.setdefault(
            (one.study_instance_uid, one.series_instance_uid, one.site),
            {
                "study_instance_uid": one.study_instance_uid,
                "series_instance_uid": one.series_instance_uid,
                "site": one.site,
            }
            | dict.fromkeys(SERIES_ATTRIBUTES, ""),
        )
        row["last_received_at"] = one.received_at
        _take_values(row, SERIES_ATTRIBUTES, one)
    return list(rows.values())


def term_rows(receptions: Iterable[ReceivedInstance]) -> Sequence[Row]:
    """One row for each word of each study of a site."""
    found = {
        (term, one.study_instance_uid, one.site)
        for one in receptions
        for term in search_terms(one.study_instance_uid, one)
    }
    return [{"term": term, "study_instance_uid": study, "site": site} for term, study, site in found]


def instance_rows(receptions: Iterable[ReceivedInstance]) -> Sequence[Row]:
    """One row for each reception; of two events about one, the later sequence stands."""
    rows: dict[str, Row] = {}
    for one in sorted(receptions, key=lambda one: one.sequence):
        rows[one.instance_id] = _instance_row(one)
    return list(rows.values())


def _instance_row(one: ReceivedInstance) -> Row:
    copied = (
        "node_id", "instance_id", "site", "sop_class_uid", "sop_instance_uid", "study_instance_uid",
        "series_instance_uid", "transfer_syntax_uid", "data_set_bytes", "calling_ae_title", "called_ae_title",
        "peer_address", "received_at", "policy", "epoch", "sequence", "occurred_at",
    )  # fmt: skip
    return {name: getattr(one, name) for name in copied} | {
        "tags": dict(one.tags),
        "flags": list(one.flags),
        "reasons": [asdict(reason) for reason in one.reasons],
        "listed_at": one.received_at,
    }


def stub_rows(changes: Iterable[DeliveryChange]) -> tuple[Sequence[Row], Sequence[Row], Sequence[Row]]:
    """Rows (study, study_site, instance) that stand for objects of which only a delivery was heard of so far."""
    studies: dict[str, Row] = {}
    sites: dict[tuple[str, str], Row] = {}
    instances: dict[str, Row] = {}
    for one in changes:
        uid = one.study_instance_uid
        studies.setdefault(uid, {"study_instance_uid": uid, "listed_at": one.occurred_at})
        sites.setdefault((uid, one.site), {"study_instance_uid": uid, "site": one.site})
        instances.setdefault(
            one.instance_id,
            {
                "node_id": one.node_id,
                "instance_id": one.instance_id,
                "site": one.site,
                "sop_instance_uid": one.sop_instance_uid,
                "study_instance_uid": uid,
                "received_at": None,
                "epoch": one.epoch,
                "sequence": 0,
                "occurred_at": one.occurred_at,
                "listed_at": one.occurred_at,
            },
        )
    return list(studies.values()), list(sites.values()), list(instances.values())


def _take_values(row: Row, attributes: dict[str, str], received: ReceivedInstance) -> None:
    for column, keyword in attributes.items():
        if value := received.tags.get(keyword, ""):
            row[column] = value[:ATTRIBUTE_LIMIT]
