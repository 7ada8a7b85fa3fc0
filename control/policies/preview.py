"""What a policy document would mean, said by the edge's own code: a second reader could disagree with the first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edge.policy.document import check_policy


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something about one place in the document."""

    severity: str
    """`error` (must not run) or `warning`."""
    line: int
    column: int
    message: str
    hint: str


def check_document(document: bytes) -> Sequence[Finding]:
    """Everything that is wrong or odd in a document. Total: whatever the bytes are, it answers."""
    try:
        text = document.decode("utf-8")
    except UnicodeDecodeError as error:
        line = document.count(b"\n", 0, error.start) + 1
        column = error.start - (document.rfind(b"\n", 0, error.start) + 1) + 1
        return (
            Finding(
                severity="error",
                line=line,
                column=column,
                message="The document is not UTF-8 text.",
                hint="Save the file as UTF-8.",
            ),
        )
    return tuple(
        Finding(severity=one.severity, line=one.line, column=one.column, message=one.message, hint=one.hint)
        for one in check_policy(text)
    )
