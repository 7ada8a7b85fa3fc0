"""docs/settings.md names every setting with its default, and no other."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import MISSING
from pathlib import Path

import pytest

from control.settings import Settings
from edge.settings import defaults

TEXT = (Path(__file__).parents[2] / "docs" / "settings.md").read_text()
ROW = re.compile(r"^\| `(\w+)` \| ([^|]+) \|", re.MULTILINE)


OF_THE_CENTRE = {key: MISSING if field.is_required() else field.default for key, field in Settings.model_fields.items()}


def in_words(default: object) -> str:
    if default is MISSING:
        return "required"
    match default:
        case None:
            return "none"
        case "" | ():
            return "empty"
        case tuple():
            return f"`{', '.join(default)}`"
        case bool():
            return f"`{str(default).lower()}`"
        case _:
            return f"`{default}`"


@pytest.mark.parametrize(("title", "known"), [("The edge node", defaults()), ("The control plane", OF_THE_CENTRE)])
def test_the_table_is_what_the_program_reads(title: str, known: Mapping[str, object]) -> None:
    section = TEXT.split(f"## {title}\n")[1].split("\n## ")[0]
    assert dict(ROW.findall(section)) == {key: in_words(default) for key, default in known.items()}
