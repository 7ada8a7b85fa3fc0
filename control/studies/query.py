"""What is asked of the study search (pure)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime

from control.deliveries.changes import Progress
from control.errors import InvalidQuery
from control.filters.terms import Days, Term, begins, equal, every
from control.instances.facts import words

MAX_WORDS = 8
WILDCARD = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyPlace:
    """Where a page of studies ended."""

    listed_at: datetime
    study_instance_uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyQuery:
    """Every condition must hold; one that is None or empty asks for nothing. A `*` at the end asks for a beginning."""

    filter: Term | None = None
    patient_id: str | None = None
    accession_number: str | None = None
    modality: str | None = None
    study_date_from: date | None = None
    study_date_to: date | None = None
    site: str | None = None
    state: Progress | None = None
    study_instance_uid: str | None = None
    sop_instance_uid: str | None = None
    text: tuple[str, ...] = ()
    """Words; each must begin a word of the patient's name or id, the accession number, the description or the UID."""
    within: frozenset[str] | None = None
    """The sites that the asker may see; None: all. What other sites know of a study neither matches nor shows."""
    after: StudyPlace | None = None
    limit: int = 100

    def term(self) -> Term | None:
        """All of it as one filter."""
        return every((*(() if self.filter is None else (self.filter,)), *self._named()))

    def _named(self) -> Iterator[Term]:
        for field, asked in (("PatientID", self.patient_id), ("AccessionNumber", self.accession_number)):
            if asked is not None and asked.endswith(WILDCARD):
                yield begins(field, asked.removesuffix(WILDCARD))
            elif asked is not None:
                yield equal(field, asked)
        if self.study_date_from is not None or self.study_date_to is not None:
            yield Days("StudyDate", self.study_date_from, self.study_date_to)
        for field, asked in (
            ("Modality", self.modality),
            ("Site", self.site),
            ("State", self.state.value if self.state is not None else None),
            ("StudyInstanceUID", self.study_instance_uid),
            ("SOPInstanceUID", self.sop_instance_uid),
            *(("Text", word) for word in self.text),
        ):
            if asked is not None:
                yield equal(field, asked)


def text_words(q: str | None) -> tuple[str, ...]:
    """The words of a free-text search.

    Raises:
        InvalidQuery: more words than anybody needs.
    """
    found = tuple(dict.fromkeys(words(q or "")))
    if len(found) > MAX_WORDS:
        raise InvalidQuery(f"A search has at most {MAX_WORDS} words.", hint="Leave out the common ones.")
    return found
