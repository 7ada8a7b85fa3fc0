"""What is asked of the study search (pure)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from control.deliveries.changes import Progress
from control.errors import InvalidQuery
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

    def sites(self) -> tuple[str, ...] | None:
        """The sites whose knowledge counts; None: all."""
        if self.site is not None:
            return (self.site,) if self.within is None or self.site in self.within else ()
        return None if self.within is None else tuple(sorted(self.within))


def text_words(q: str | None) -> tuple[str, ...]:
    """The words of a free-text search.

    Raises:
        InvalidQuery: more words than anybody needs.
    """
    found = tuple(dict.fromkeys(words(q or "")))
    if len(found) > MAX_WORDS:
        raise InvalidQuery(f"A search has at most {MAX_WORDS} words.", hint="Leave out the common ones.")
    return found
