"""Steps of a transform in a text of their own: what a person writes to mend one object."""

from __future__ import annotations

import textwrap
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from edge.errors import PolicyError
from edge.policy.document import load_policy
from edge.steps import Transform

if TYPE_CHECKING:
    from edge.model import FolderDestination

_AROUND = """skerry: 1
destinations:
  - {name: here, kind: folder, path: /, transforms: [fix]}
routes: []
transforms:
  - name: fix
    steps:
"""
_INDENT = 6


def read_steps(text: str) -> Transform:
    """The steps of a YAML list such as `- set: {tag: PatientID, value: "4711"}`, checked as a policy's are.

    Raises:
        PolicyError: they cannot be used; line and column are those of the text.
    """
    try:
        policy = load_policy(_AROUND + textwrap.indent(text, " " * _INDENT))
    except PolicyError as error:
        above = _AROUND.count("\n")
        found = tuple(
            replace(one, line=max(1, one.line - above), column=max(1, one.column - _INDENT))
            for one in error.diagnostics
            if one.severity == "error"
        )
        first = found[0]
        raise PolicyError(
            f"line {first.line}, column {first.column}: {first.message}",
            hint=first.hint or 'Write a list of steps, such as - set: {tag: PatientID, value: "4711"}',
            diagnostics=found,
        ) from None
    return cast("FolderDestination", policy.destinations[0]).transforms[0]
