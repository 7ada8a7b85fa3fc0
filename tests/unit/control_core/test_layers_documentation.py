"""What docs/layers.md says is what the code does."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

from control.preview_commands import Listed
from control.previews.service import MOST_INSTANCES, MOST_SECONDS
from control.previews.tally import Difference
from control.scopes.layers import Layer
from control.scopes.render import render
from edge.policy.document import load_policy

PAGE = (Path(__file__).parents[3] / "docs" / "layers.md").read_text(encoding="utf-8")
BLOCKS = [(found[1], found[0]) for found in re.findall(r"```yaml\n(# (\S+)\n.*?)```", PAGE, re.DOTALL)]


def test_the_layers_of_the_page_come_to_the_policy_that_it_tells() -> None:
    assert [name for name, _ in BLOCKS] == ["mesh", "group/research", "site/north"]
    effective = render([Layer(name=name, text=text) for name, text in BLOCKS])
    assert effective.findings == ()
    policy = load_policy(effective.document.decode())
    assert [one.name for one in policy.destinations] == ["pacs", "research"]
    assert [one.name for one in policy.routes] == ["everything", "mr-too"]
    assert policy.keep_delivered == timedelta(days=7)
    origins = {one.entry: (one.layer, one.line, one.before) for one in effective.origins}
    assert origins["destinations/pacs"] == ("site/north", 5, ("mesh",))
    assert origins["destinations/research"] == ("group/research", 4, ())


def test_without_the_overrides_the_site_s_layer_is_refused() -> None:
    texts = [Layer(name=name, text=re.sub(r"override: .*\n", "", text)) for name, text in BLOCKS]
    assert [one.layer for one in render(texts).findings] == ["site/north", "site/north"]


def test_the_bounds_and_the_lists_of_previews_are_those_of_the_code() -> None:
    assert f"At most {MOST_INSTANCES:,} images in {MOST_SECONDS:.0f} seconds" in PAGE
    assert {one.value for one in Listed} == {one.value for one in Difference}
    assert all(f"`{one.value}`" in PAGE or f"--list {one.value}" in PAGE for one in Listed)
