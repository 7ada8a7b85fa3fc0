"""Rows of policies as values."""

from __future__ import annotations

from collections.abc import Sequence

from control.policies.models import PolicyAnswer, PolicyRevision
from control.policies.preview import Finding
from control.policies.revisions import Answer, Revision


def revision_facts(
    site: str,
    row: PolicyRevision,
    generation: int | None,
    *,
    answers: Sequence[PolicyAnswer] = (),
    warnings: tuple[Finding, ...] = (),
    etag: str = "",
) -> Revision:
    """A version, with the newest word of each node."""
    newest = {one.node_id: one for one in answers}  # the newest word comes last
    said = tuple(
        Answer(
            node_id=one.node_id,
            generation=one.generation,
            state=one.state,
            error=one.error,
            answered_at=one.answered_at,
        )
        for one in newest.values()
    )
    return Revision(
        site=site,
        version=row.version,
        sha256=row.sha256,
        created_at=row.created_at,
        created_by=row.created_by,
        generation=generation,
        answers=said,
        warnings=warnings,
        etag=etag,
    )
