"""An outcome that is remembered is the one that the condition would give anew."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from edge.model import AssociationFacts, Decision, TagSet, TagValue
from edge.policy import match
from edge.policy.document import load_policy
from edge.policy.match import MOST_DECISIONS, MOST_PLANS, MOST_REMEMBERED, decide

POLICY = load_policy("""
skerry: 1
zone: Europe/Berlin
destinations: [{name: pacs, kind: folder, path: /x}]
routes:
  - {name: text, to: [pacs], when: 'Modality == "CT" && calling_ae_title.startsWith("CT")'}
  - {name: number, to: [pacs], when: '10 / SeriesNumber > 2'}
  - {name: list, to: [pacs], when: '"DERIVED" in ImageType || present("PatientID")'}
  - {name: decimal, to: [pacs], when: '1.0 / SliceThickness > 0.0'}
  - {name: night, to: [pacs], when: 'received_time >= "18:00" || received_day in ["sat", "sun"]'}
  - {name: always, to: [pacs]}
""")

given_values: st.SearchStrategy[dict[str, TagValue]] = st.fixed_dictionaries(
    {},
    optional={
        "Modality": st.sampled_from(["CT", "MR"]),
        "SeriesNumber": st.integers(-1, 6),
        "ImageType": st.sampled_from([("DERIVED",), ("ORIGINAL", "PRIMARY")]),
        "PatientID": st.sampled_from(["1", "2"]),
        "SliceThickness": st.sampled_from([0.0, -0.0, 1.0, -2.5]),
    },
)
given_flags = st.sampled_from([(), ("undecodable:Modality",), ("invalid-uid:SOPInstanceUID",)])
given_facts = st.builds(
    AssociationFacts,
    calling_ae_title=st.sampled_from(["CT01", "MR01"]),
    called_ae_title=st.just("SKERRY"),
    peer_address=st.just("10.0.0.7"),
    received_day=st.sampled_from(["mon", "sat"]),
    received_time=st.sampled_from(["07:00", "18:00", "23:59"]),
)


def anew(facts: AssociationFacts, tags: TagSet) -> Decision:
    """Plain evaluation, route by route, with no memory at all."""
    return match._combine(POLICY, tuple(match._try(route, facts, tags) for route in POLICY.routes))


@settings(max_examples=100, deadline=None)
@given(instances=st.lists(st.tuples(given_facts, given_values, given_flags), max_size=20))
def test_what_is_remembered_is_what_would_be_decided_anew(
    instances: list[tuple[AssociationFacts, dict[str, TagValue], tuple[str, ...]]],
) -> None:
    cases = [(facts, TagSet(values=values, flags=flags)) for facts, values, flags in instances]
    wanted = [anew(facts, tags) for facts, tags in cases]
    match.forget()
    for _time in range(2):
        assert [decide(POLICY, facts, tags) for facts, tags in cases] == wanted


def test_two_zeros_that_a_rule_can_tell_apart_are_not_taken_for_one() -> None:
    facts = AssociationFacts(calling_ae_title="A", called_ae_title="B", peer_address="C")
    zero, minus_zero = ({"SliceThickness": value} for value in (0.0, -0.0))
    outcomes = [decide(POLICY, facts, TagSet(values=values)).outcomes[3].matched for values in (zero, minus_zero)]
    assert outcomes == [True, False]


def test_what_is_remembered_is_bounded() -> None:
    facts = AssociationFacts(calling_ae_title="A", called_ae_title="B", peer_address="C")
    for number in range(2 * MOST_REMEMBERED):
        decide(POLICY, facts, TagSet(values={"SeriesNumber": number}))
    assert len(match._remembered) <= MOST_REMEMBERED
    assert all(len(plan.decided) <= MOST_DECISIONS for plan in match._plans.values())


def test_the_decisions_of_only_a_few_policies_are_kept_and_never_mixed_up() -> None:
    facts = AssociationFacts(calling_ae_title="A", called_ae_title="B", peer_address="C")
    labels = [f"1.{number}" for number in range(3 * MOST_PLANS)]
    assert [decide(POLICY.labelled(label), facts, TagSet(values={})).policy for label in labels] == labels
    assert len(match._plans) <= MOST_PLANS
