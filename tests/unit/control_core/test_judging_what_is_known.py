"""What a policy would do is told only as far as the centre knows: never against what the node would have decided."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from itertools import combinations
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from control.previews.judging import (
    Reception,
    Rule,
    Sight,
    attributes_of,
    compared,
    judge,
    read_policy,
    told_of,
)
from edge.model import AssociationFacts, TagSet
from edge.policy.match import decide
from edge.policy.placing import placed
from edge.policy.privacy import shared_tags

CONDITIONS = (
    'Modality == "CT"',
    'PatientID.startsWith("P")',
    'present("PatientAge")',
    'PatientAge == "030Y" || Modality == "MR"',
    "SeriesNumber > 3",
    '"DERIVED" in ImageType',
    'calling_ae_title == "CT1"',
    'received_time < "12:00"',
    "10 / SeriesNumber > 1",
    'site == "north"',
)
VALUES: dict[str, list[Any]] = {
    "Modality": ["CT", "MR"],
    "PatientID": ["P1", "Q2"],
    "PatientAge": ["030Y"],
    "SeriesNumber": [0, 3, 7],
    "ImageType": [("DERIVED", "SECONDARY"), ("ORIGINAL",)],
}
TAGS = st.fixed_dictionaries({}, optional={key: st.sampled_from(values) for key, values in VALUES.items()})
NAMES = [name for size in range(3) for name in combinations(VALUES, size)]


@st.composite
def policies(draw: st.DrawFn) -> Rule:
    """A policy over a few conditions and destinations, with some privacy rule."""
    routes = "".join(
        f"  - {{name: r{number}, when: '{draw(st.sampled_from(CONDITIONS))}', to: [{draw(st.sampled_from('abc'))}]}}\n"
        for number in range(draw(st.integers(1, 4)))
    )
    shared = draw(st.lists(st.sampled_from(list(VALUES)), unique=True))
    hidden = draw(st.sampled_from(NAMES))
    zone = draw(st.sampled_from(["Asia/Tokyo", "Europe/Berlin"]))
    text = f"""skerry: 1
zone: {zone}
destinations:
  - {{name: a, kind: dicom, ae_title: A, host: 10.0.0.1, port: 104}}
  - {{name: b, kind: dicom, ae_title: B, host: 10.0.0.2, port: 104}}
  - {{name: c, kind: dicom, ae_title: C, host: 10.0.0.3, port: 104}}
routes:
{routes}privacy: {{share: [{", ".join(shared)}], pseudonymise: [{", ".join(hidden)}]}}
"""
    policy = read_policy(text.encode())
    assert policy is not None, text
    return policy


def received(under: Rule, tags: TagSet, label: str = "1.4") -> tuple[Reception, AssociationFacts]:
    """The object as the centre hears of it, and what the node knew of its sender."""
    facts = AssociationFacts(calling_ae_title="CT1", called_ae_title="SKERRY", peer_address="10.0.0.7")
    at = datetime(2026, 3, 2, 4, 30, tzinfo=UTC)
    decision = decide(under, placed(under, facts, site="north", received_at=at), tags)
    reasons = [{"route": one.route, "matched": one.matched, "reason": one.reason} for one in decision.outcomes]
    reception = Reception(
        site="north", node_id="n1", study_instance_uid="1.2", calling_ae_title="CT1", called_ae_title="SKERRY",
        peer_address="10.0.0.7", received_at=at, tags=shared_tags(under, tags, b"key"), flags=tags.flags,
        policy=label, reasons=reasons,
    )  # fmt: skip
    return reception, facts


def truth(policy: Rule, one: Reception, facts: AssociationFacts, tags: TagSet) -> frozenset[str]:
    """Where the node would send it."""
    return frozenset(
        decide(policy, placed(policy, facts, site=one.site, received_at=one.received_at), tags).destinations
    )


@given(under=policies(), active=policies(), proposed=policies(), values=TAGS)
def test_what_is_told_never_contradicts_the_node(under: Rule, active: Rule, proposed: Rule, values: object) -> None:
    assert isinstance(values, dict)
    tags = TagSet(values=values)
    one, facts = received(under, tags)
    told = told_of(one, under, attributes_of([active, proposed]))
    before, after = judge(active, told), judge(proposed, told)
    real_before, real_after = truth(active, one, facts, tags), truth(proposed, one, facts, tags)
    assert before.certain <= real_before <= before.possible
    assert after.certain <= real_after <= after.possible
    match compared(before, after):
        case "same":
            assert real_before == real_after
        case "changed":
            assert real_before != real_after
        case "untold":
            assert before.unread | after.unread


@given(under=policies(), values=TAGS)
def test_what_the_node_decided_itself_is_never_an_open_question(under: Rule, values: object) -> None:
    assert isinstance(values, dict)
    tags = TagSet(values=values)
    one, facts = received(under, tags)
    told = told_of(one, under, attributes_of([under]))
    assert judge(under, told) == replace(judge(under, told), perhaps={}, unread=frozenset())
    assert judge(under, told).certain == truth(under, one, facts, tags)


@given(under=policies(), proposed=policies(), values=TAGS)
def test_without_the_policy_under_which_it_came_no_tag_is_read(under: Rule, proposed: Rule, values: object) -> None:
    assert isinstance(values, dict)
    one, _ = received(under, TagSet(values=values), label="local:0123456789ab")
    told = told_of(one, None, attributes_of([proposed]))
    assert one.version is None
    assert told.tags.values == {}
    assert judge(proposed, told).unread == attributes_of([proposed])


def test_a_value_that_may_have_been_cut_is_not_judged() -> None:
    text = (
        "skerry: 1\ndestinations:\n  - {name: a, kind: folder, path: /mnt/a}\n"
        "routes:\n  - {name: r, when: 'StudyDescription.contains(\"x\")', to: [a]}\n"
        "privacy: {share: [StudyDescription]}\n"
    )
    policy = read_policy(text.encode())
    assert policy is not None
    one, _ = received(policy, TagSet(values={"StudyDescription": "a"}))
    other = replace(policy, routes=tuple(replace(route, when="other") for route in policy.routes))
    cut = replace(one, tags={"StudyDescription": "a" * 1023 + "…"})
    reads = attributes_of([other])
    assert judge(other, told_of(one, policy, reads)) == Sight()
    assert judge(other, told_of(cut, policy, reads)).unread == {"StudyDescription"}
