"""Layers become one policy: the same each time, each entry from one layer, each fault at its place in its layer."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from control.scopes.layers import NAMED, Layer, LayerFinding
from control.scopes.render import Effective, render
from edge.policy.document import load_policy
from edge.policy.schema import PolicyModel

MESH = """skerry: 1
destinations:
  - {name: pacs, kind: dicom, ae_title: PACS, host: 10.0.0.5, port: 104}
routes:
  - {name: all, to: [pacs]}
retention: {keep_delivered: 24h}
"""


def effective(*texts: str) -> Effective:
    names = ("mesh", "group/ct", "site/north", "node/n1")
    return render([Layer(name=name, text=text) for name, text in zip(names, texts, strict=False)])


def only(found: Effective) -> LayerFinding:
    errors = [one for one in found.findings if one.severity == "error"]
    assert len(errors) == 1, errors
    return errors[0]


def test_a_single_layer_means_what_it_means_alone() -> None:
    found = effective(MESH)
    assert found.loads
    assert found.findings == ()
    alone, rendered = load_policy(MESH), load_policy(found.document)
    assert rendered.labelled("x") == alone.labelled("x")
    assert {one.layer for one in found.origins} == {"mesh"}


def test_a_lower_layer_adds_behind_and_replaces_in_place_when_it_says_so() -> None:
    found = effective(
        MESH,
        "skerry: 1\nroutes:\n  - {name: ct, when: 'Modality == \"CT\"', to: [pacs]}\n",
        "skerry: 1\noverride: [destinations/pacs, retention]\nretention: {keep_delivered: 2d}\n"
        "destinations:\n  - {name: pacs, kind: folder, path: /mnt/pacs}\n",
    )
    assert found.loads, found.findings
    policy = load_policy(found.document)
    assert [one.name for one in policy.routes] == ["all", "ct"]
    assert policy.keep_delivered.days == 2
    assert {one.entry: (one.layer, one.before) for one in found.origins} == {
        "destinations/pacs": ("site/north", ("mesh",)),
        "routes/all": ("mesh", ()),
        "routes/ct": ("group/ct", ()),
        "retention": ("site/north", ("mesh",)),
    }
    assert b"# from site/north, instead of mesh\n  - name: pacs\n" in found.document
    assert b"override" not in found.document


def test_the_order_in_which_layers_are_given_does_not_count() -> None:
    layers = [
        Layer(name="mesh", text=MESH),
        Layer(name="group/a", text="skerry: 1\nroutes:\n  - {name: a, to: [pacs]}\n"),
        Layer(name="group/b", text="skerry: 1\nroutes:\n  - {name: b, to: [pacs], priority: stat}\n"),
    ]
    assert render(layers[::-1]).document == render(layers).document
    assert [one.name for one in load_policy(render(layers).document).routes] == ["all", "a", "b"]


@pytest.mark.parametrize(
    ("lower", "place", "says", "hint"),
    [
        ("skerry: 1\nroutes:\n  - {name: all, to: [pacs]}\n", (3, 12), "layer mesh says `routes/all` already",
         "Write `override: [routes/all]`"),
        ("skerry: 1\nretention: {keep_delivered: 2d}\n", (2, 1), "layer mesh says `retention` already",
         "Write `override: [retention]`"),
        ("skerry: 1\noverride: [destination/pacs]\n", (2, 12), "no layer above says `destination/pacs`",
         "Did you mean `destinations/pacs`?"),
        ("skerry: 1\noverride: [routes/all]\n", (2, 12), "and does not say it", "take it out"),
        ("skerry: 1\noverride: routes/all\n", (2, 11), "`override` must be a list", "Write `override:"),
        ("skerry: 1\nroutes: 7\n", (2, 9), "`routes` must be a list", "Write `routes: []`"),
        ("skerry: 1\nroutes:\n  - {name: x, to: [pacz]}\n", (3, 20), "pacz", "pacs"),
        ("skerry: 1\nroutes:\n  - {to: [pacs]}\n", (3, 5), "`name` is missing", ""),
        ("skerry: 1\nroutes:\n  - {name: a, to: [pacs]}\n  - {name: a, to: [pacs], priority: stat}\n", (4, 12), "`a`",
         ""),
        ("skerry: 1\nzne: Europe/Berlin\n", (2, 1), "unknown key `zne`", "Did you mean `zone`?"),
        ("skerry: 1\nzone: 2026-01-01\n", (2, 7), "no key of a policy takes this value", "in quotes"),
        ("skerry: 2\n", (1, 9), "not a document format", ""),
        ("routes: []\n", (1, 1), "`skerry` is missing", ""),
        ("", (1, 1), "the file is empty", ""),
        ("skerry: 1\nroutes: [\n", (3, 1), "ends too early", ""),
        ("- 1\n", (1, 1), "a layer is a group of keys", ""),
        ("skerry: 1\na/b: 1\n", (2, 1), "unknown key `a/b`", ""),
        ("skerry: 1\nroutes/all: 1\n", (2, 1), "unknown key `routes/all`", ""),
    ],
)  # fmt: skip
def test_a_fault_is_told_at_its_place_in_the_lower_layer(
    lower: str, place: tuple[int, int], says: str, hint: str
) -> None:
    found = only(effective(MESH, lower))
    assert (found.layer, (found.line, found.column)) == ("group/ct", place), found
    assert says in found.message
    assert hint in found.hint


@pytest.mark.parametrize(
    ("written", "line", "column"),
    [
        ("when: Modalty == 'CT'", 4, 11),
        ('when: \'Modality == "CT" && Modalty == "CT"\'', 4, 32),
        ("when: '''CT'' == Modalty'", 4, 22),
        ("when: \"Modalty == 'CT'\"", 4, 11),
        ("when: |\n      Modality == 'CT' &&\n      Modalty == 'CT'", 6, 7),
    ],
)
def test_a_fault_within_a_condition_is_told_at_its_character(written: str, line: int, column: int) -> None:
    found = only(effective(MESH, f"skerry: 1\nroutes:\n  - name: ct\n    {written}\n    to: [pacs]\n"))
    assert (found.layer, found.line, found.column) == ("group/ct", line, column), found


def test_all_faults_of_all_layers_are_told_at_once() -> None:
    found = effective(MESH.replace("port: 104", "port: 0"), "skerry: 1\nretention: {keep_delivered: 7}\nzne: 1\n")
    assert [(one.layer, one.line) for one in found.findings] == [
        ("mesh", 3), ("group/ct", 2), ("group/ct", 2), ("group/ct", 3),
    ]  # fmt: skip


def test_the_lists_that_are_merged_by_name_are_those_of_the_format() -> None:
    lists = [
        name
        for name, field in PolicyModel.model_fields.items()
        if str(field.annotation).startswith("list[") and name != "override"
    ]
    assert sorted(lists) == sorted(NAMED)


NAMES = st.sampled_from(["a", "b", "c", "d"])
TEXTS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        ["y", "no", "1:30", "0o17", "~", "=", "a: b", "# x", "'", "\u2028", "1e3", "a\n b\n", "\n", " x\ny"]
    ),
)


@st.composite
def stacks(draw: st.DrawFn) -> Sequence[Layer]:
    """Layers that fit together: each overrides what it says anew."""
    above: set[str] = set()
    layers = []
    for name in ("mesh", "group/g", "group/h", "site/s", "node/n"):
        if name != "mesh" and not draw(st.booleans()):
            continue
        names = draw(st.lists(NAMES, unique=True, max_size=3))
        document: dict[str, object] = {
            "skerry": 1,
            "destinations": [{"name": one, "kind": "folder", "path": f"/{draw(TEXTS)}"} for one in names],
        }
        if draw(st.booleans()):
            document["retention"] = {"keep_delivered": draw(st.sampled_from(["1h", "2d"]))}
        said = {f"destinations/{one}" for one in names} | ({"retention"} & document.keys())
        document["override"] = sorted(said & above)
        above |= said
        layers.append(Layer(name=name, text=yaml.safe_dump(document, allow_unicode=True)))
    return layers


@given(stacks())
def test_what_fits_together_is_rendered_alike_each_time_and_each_entry_has_one_origin(layers: Sequence[Layer]) -> None:
    found = render(layers)
    assert found == render(layers[::-1])
    rendered = yaml.safe_load(found.document)
    said = {one.name: yaml.safe_load(one.text) for one in layers}
    entries = [one.entry for one in found.origins]
    assert len(entries) == len(set(entries))
    assert {one for one in entries if "/" in one} == {f"destinations/{one['name']}" for one in rendered["destinations"]}
    for origin in found.origins:
        head, slash, name = origin.entry.partition("/")
        here, there = rendered[head], said[origin.layer][head]
        if slash:
            [here] = [one for one in here if one["name"] == name]
            [there] = [one for one in there if one["name"] == name]
        assert here == there
    # Nothing is added when lower layers say nothing.
    more = [*layers, Layer(name="node/z", text="skerry: 1\n")]
    assert render(more).document == found.document


@given(stacks())
def test_an_override_that_is_left_out_is_told_with_layer_line_and_column(layers: Sequence[Layer]) -> None:
    broken = [Layer(name=one.name, text=re.sub(r"^override:.*\n(- .*\n)*", "", one.text, flags=re.M)) for one in layers]
    overriding = [one for one in render(layers).origins if one.before]
    found = render(broken)
    assert found.loads is False or not overriding
    for finding in found.findings:
        [layer] = [one for one in broken if one.name == finding.layer]
        lines = layer.text.splitlines()
        assert 1 <= finding.line <= max(1, len(lines))
        assert finding.column >= 1


@given(st.lists(st.text(max_size=60), min_size=1, max_size=3))
def test_whatever_the_layers_hold_each_fault_names_its_layer_line_and_column(texts: Sequence[str]) -> None:
    found = effective(*texts)
    assert not found.loads
    assert all(
        one.layer in {"mesh", "group/ct", "site/north"} and one.line > 0 and one.column > 0 for one in found.findings
    )
