"""What nodes measure becomes Prometheus text, and a hostile node spoils nothing of the others."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from control.figures.lines import MOST_SAMPLES, Sample, exposition, lines_of

UP = Sample(name="skerry_edge_destination_up", labels={"destination": "pacs"}, value=1.0)
TAKEN = Sample(name="skerry_edge_instances_accepted_total", labels={}, value=12345.0)


def test_each_sample_gets_its_site_and_node() -> None:
    assert lines_of([UP, TAKEN], site="north", node="box-1") == (
        'skerry_edge_destination_up{site="north",node="box-1",destination="pacs"} 1\n'
        'skerry_edge_instances_accepted_total{site="north",node="box-1"} 12345\n'
    )


def test_the_figures_of_many_nodes_are_one_document_with_each_family_once() -> None:
    text = exposition([lines_of([UP, TAKEN], site=site, node="a") for site in ("north", "south")])
    families = {one.name: one for one in text_string_to_metric_families(text)}
    assert families["skerry_edge_destination_up"].type == "gauge"
    assert families["skerry_edge_instances_accepted"].type == "counter"
    assert [one.labels["site"] for one in families["skerry_edge_destination_up"].samples] == ["north", "south"]


def test_a_node_cannot_speak_for_another_or_for_the_centre() -> None:
    wrong = [
        Sample(name="skerry_edge_x", labels={"site": "south"}, value=1.0),
        Sample(name="skerry_edge_x", labels={"node": "other"}, value=1.0),
        Sample(name="skerry_control_logins_total", labels={}, value=1.0),
        Sample(name="up", labels={}, value=1.0),
        Sample(name="skerry_edge_x\n", labels={}, value=1.0),
        Sample(name="skerry_edge_x", labels={"a b": "c"}, value=1.0),
        Sample(name="skerry_edge_x", labels={"a": "line\nbreak"}, value=1.0),
        Sample(name="skerry_edge_x", labels={"a": "x" * 65}, value=1.0),
        Sample(name="skerry_edge_x", labels={f"a{number}": "" for number in range(7)}, value=1.0),
    ]
    assert lines_of(wrong, site="north", node="a") == ""


def test_the_same_series_twice_is_one_and_no_node_fills_the_page() -> None:
    assert lines_of([UP, UP], site="n", node="a").count("\n") == 1
    many = [Sample(name="skerry_edge_x", labels={"a": str(number)}, value=1.0) for number in range(5000)]
    assert lines_of(many, site="n", node="a").count("\n") == MOST_SAMPLES


@given(
    st.lists(
        st.builds(
            Sample,
            name=st.one_of(st.just("skerry_edge_x"), st.text(max_size=20)),
            labels=st.dictionaries(st.one_of(st.sampled_from(["a", "b_c"]), st.text(max_size=5)), st.text(max_size=70)),
            value=st.floats(),
        ),
        max_size=8,
    )
)
def test_whatever_a_node_says_prometheus_can_read_the_page(samples: list[Sample]) -> None:
    text = exposition([lines_of([*samples, TAKEN], site="north", node="a")])
    read = [one for family in text_string_to_metric_families(text) for one in family.samples]
    assert TAKEN.value in [one.value for one in read]
    wanted = {
        sample.labels.get("a"): sample.value
        for sample in samples
        if sample.name == "skerry_edge_x" and set(sample.labels) == {"a"} and sample.labels["a"].isprintable()
        and len(sample.labels["a"]) <= 64
    }  # fmt: skip
    for one in read:
        if one.name == "skerry_edge_x" and set(one.labels) == {"site", "node", "a"}:
            expected = wanted[one.labels["a"]]
            assert one.value == expected or (math.isnan(expected) and math.isnan(one.value))


def test_figures_of_a_sites_haproxy_are_told_with_their_site() -> None:
    sample = Sample(name="haproxy_server_weight", labels={"server": "box-1"}, value=5.0)
    told = lines_of([sample], site="north", node="n")
    assert told == 'haproxy_server_weight{site="north",node="n",server="box-1"} 5\n'
