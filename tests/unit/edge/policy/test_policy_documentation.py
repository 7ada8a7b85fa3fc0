"""What docs/policy.md and the published schema say is what the code does."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from edge.policy.cel import compile_condition
from edge.policy.document import check_policy, load_policy, render
from edge.policy.model import DEFAULT_SHARE
from edge.policy.schema import json_schema
from edge.vocabulary import ATTRIBUTES

ROOT = Path(__file__).parents[4]
PAGE = (ROOT / "docs" / "policy.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
CONDITIONS = re.findall(r"^\| [^|]+ \| `([^`]+)` \|$", PAGE.partition("| To say")[2], re.MULTILINE)
KINDS = {"text": "text", "integer": "whole number", "decimal": "decimal number", "texts": "list of texts"}


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_of_the_page_loads_without_a_word(example: str) -> None:
    load_policy(example)
    assert check_policy(example) == ()


@pytest.mark.parametrize("condition", CONDITIONS)
def test_every_condition_of_the_page_compiles(condition: str) -> None:
    compile_condition(condition.replace("\\|", "|"))


def test_the_page_has_examples() -> None:
    assert len(EXAMPLES) >= 4
    assert len(CONDITIONS) >= 10


def test_the_table_of_attributes_is_that_of_the_code() -> None:
    rows = re.findall(r"^\| (\w+) \| \(([0-9A-F]{4}),([0-9A-F]{4})\) \| (\w\w) \| ([\w ]+) \|$", PAGE, re.MULTILINE)
    documented = {keyword: (int(group + element, 16), vr, kind) for keyword, group, element, vr, kind in rows}
    assert documented == {k: (a.tag, a.vr, KINDS[a.kind]) for k, a in ATTRIBUTES.items()}
    assert [row[0] for row in rows] == list(ATTRIBUTES)


def test_the_default_of_share_is_that_of_the_code() -> None:
    listed = re.search(r"<!-- default share -->(.*?)<!-- end -->", PAGE, re.DOTALL)
    assert listed is not None
    assert tuple(re.findall(r"\w+", listed[1])) == DEFAULT_SHARE


def test_the_answer_to_the_wrong_document_is_the_one_shown() -> None:
    wrong = re.search(r"^```yaml wrong\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    shown = re.search(r"^```text\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert wrong is not None
    assert shown is not None
    found = check_policy(wrong[1])
    errors = sum(1 for one in found if one.severity == "error")
    summary = f"policy.yaml: {errors} errors, {len(found) - errors} warnings"
    assert shown[1] == f"{render(found, 'policy.yaml')}\n{summary}\n"


def test_the_published_schema_is_fresh() -> None:
    published = (ROOT / "edge" / "policy" / "policy.schema.json").read_text(encoding="utf-8")
    assert published == json_schema(), "run: python -m edge.policy.schema > edge/policy/policy.schema.json"
    assert json.loads(published)["required"] == ["skerry", "destinations", "routes"]
