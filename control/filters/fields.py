"""The fields that a filter may name."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What can be asked of a field."""

    TEXT = "text"
    """`=` and `!=` with wildcards, and `<`, `<=`, `>`, `>=` in the order of the characters."""
    MANY = "many"
    """A study has several of them; `=` and `!=` with wildcards."""
    DAY = "day"
    """Compared as days: 2026-01-31, 2026-01, 2026, and ranges of them."""
    WORDS = "words"
    """`=` and `!=`: every word of the value begins a word of the study."""
    STATE = "state"
    """`=` and `!=` with one of the states."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field."""

    name: str
    kind: Kind
    means: str


_ALL = (
    Field(name="PatientID", kind=Kind.TEXT, means="the patient's id at the site"),
    Field(name="IssuerOfPatientID", kind=Kind.TEXT, means="who gave that id"),
    Field(name="PatientName", kind=Kind.TEXT, means="the patient's name; capitals make no difference"),
    Field(name="PatientBirthDate", kind=Kind.DAY, means="the day of birth"),
    Field(name="AccessionNumber", kind=Kind.TEXT, means="the order's number"),
    Field(name="StudyInstanceUID", kind=Kind.TEXT, means="the study"),
    Field(name="SeriesInstanceUID", kind=Kind.MANY, means="a series of the study"),
    Field(name="SOPInstanceUID", kind=Kind.MANY, means="an object of the study"),
    Field(name="Modality", kind=Kind.MANY, means="such as CT; capitals make no difference"),
    Field(name="StudyDate", kind=Kind.DAY, means="the day of the study"),
    Field(name="ReceivedAt", kind=Kind.DAY, means="the day (UTC) on which the site received its first object"),
    Field(name="CallingAETitle", kind=Kind.MANY, means="who sent an object to the node"),
    Field(name="CalledAETitle", kind=Kind.MANY, means="under which title the node was called"),
    Field(name="Site", kind=Kind.TEXT, means="the site that knows of the study"),
    Field(name="State", kind=Kind.STATE, means="how far objects of the study are"),
    Field(name="Text", kind=Kind.WORDS, means="beginnings of words of name, id, accession number, description, UID"),
)

FIELDS: Mapping[str, Field] = {one.name: one for one in _ALL}
"""By name."""

STATES = ("delivered", "waiting", "parked", "superseded", "unrouted")

_FOLDED = {name.casefold(): name for name in FIELDS}


def find_field(word: str) -> Field | None:
    """The field that a word names; capitals and underscores make no difference: `patient_id` is `PatientID`."""
    name = _FOLDED.get(word.casefold().replace("_", ""))
    return FIELDS[name] if name is not None else None


def nearest_fields(word: str) -> Sequence[str]:
    """Fields that may have been meant."""
    asked = word.casefold().replace("_", "")
    close = difflib.get_close_matches(asked, _FOLDED, n=3, cutoff=0.5)
    inside = [one for one in _FOLDED if len(asked) > 1 and asked in one and one not in close]
    return [_FOLDED[one] for one in (*close, *inside)][:3]


def nearest_states(word: str) -> Sequence[str]:
    """States that may have been meant."""
    return difflib.get_close_matches(word.casefold(), STATES, n=2, cutoff=0.4)
