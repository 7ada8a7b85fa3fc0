"""docs/settings.md names every setting with its default, and no other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from control.settings import Settings
from edge.settings import EdgeSettings

TEXT = (Path(__file__).parents[2] / "docs" / "settings.md").read_text()
ROW = re.compile(r"^\| `(\w+)` \| ([^|]+) \|", re.MULTILINE)


def default_in_words(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    match field.default:
        case None:
            return "none"
        case "":
            return "empty"
        case tuple():
            return f"`{', '.join(field.default)}`"
        case bool():
            return f"`{str(field.default).lower()}`"
        case _:
            return f"`{field.default}`"


@pytest.mark.parametrize(("title", "model"), [("The edge node", EdgeSettings), ("The control plane", Settings)])
def test_the_table_is_what_the_program_reads(title: str, model: type[BaseModel]) -> None:
    section = TEXT.split(f"## {title}\n")[1].split("\n## ")[0]
    assert dict(ROW.findall(section)) == {key: default_in_words(one) for key, one in model.model_fields.items()}
