"""What policies look like over REST."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict

from control.policies.revisions import Revision


class FindingItem(BaseModel):
    """Something about one place in a document."""

    model_config = ConfigDict(from_attributes=True)

    severity: str
    line: int
    column: int
    message: str
    hint: str


class CheckResult(BaseModel):
    """Everything that is wrong or odd in a document."""

    diagnostics: list[FindingItem]


class AnswerItem(BaseModel):
    """A node's word: applying, applied or rejected (then with the reason)."""

    model_config = ConfigDict(from_attributes=True)

    node_id: str
    generation: int
    state: str
    error: str
    answered_at: datetime


class RevisionItem(BaseModel):
    """One version of a site's policy. `active` is what the site shall run."""

    site: str
    version: int
    sha256: str
    created_at: datetime
    created_by: str
    active: bool
    generation: int | None
    answers: list[AnswerItem]
    warnings: list[FindingItem]


def revision_item(revision: Revision) -> RevisionItem:
    """A version as it is shown."""
    return RevisionItem(
        site=revision.site,
        version=revision.version,
        sha256=revision.sha256.hex(),
        created_at=revision.created_at,
        created_by=revision.created_by,
        active=revision.generation is not None,
        generation=revision.generation,
        answers=[AnswerItem.model_validate(one) for one in revision.answers],
        warnings=[FindingItem.model_validate(one) for one in revision.warnings],
    )
