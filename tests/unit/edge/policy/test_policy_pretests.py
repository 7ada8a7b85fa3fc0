"""Cheap tests before the engine: they rule routes out, and never change a decision, a reason or an error."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edge.model import AssociationFacts, TagSet
from edge.policy import match
from edge.policy.cel import DoesNotCompile, compile_condition, view
from edge.policy.document import Policy, Privacy
from edge.policy.match import decide
from edge.policy.model import Route
from edge.vocabulary import ATTRIBUTES

NOBODY = AssociationFacts(calling_ae_title="CT01", called_ae_title="SKERRY", peer_address="10.0.0.7")
TEXTS = ["", "CT", "MR", "CT01", "Ärzte", "a'b"]


def quoted(text: str) -> str:
    return f"'{text}'" if '"' in text or (len(text) % 2 and "'" not in text) else f'"{text}"'


texts = st.sampled_from(TEXTS).map(quoted)
names = st.sampled_from(["Modality", "StudyDescription", "calling_ae_title", "peer_address", "site", "received_time"])
atoms = st.one_of(
    st.builds("{} {} {}".format, names, st.sampled_from(["==", "!=", "<"]), texts),
    st.builds("{} {} {}".format, texts, st.sampled_from(["==", "!="]), names),
    st.builds("{}.{}({})".format, names, st.sampled_from(["startsWith", "endsWith", "contains", "matches"]), texts),
    st.builds("{} in [{}]".format, names, st.lists(texts, min_size=1, max_size=3).map(", ".join)),
    st.builds("{} in ImageType".format, texts),
    st.builds("SeriesNumber {} {}".format, st.sampled_from(["==", "!=", "<"]), st.integers(-2, 4)),
    st.builds("SliceThickness == {}".format, st.sampled_from(["0.0", "1.5"])),
    st.builds('{}present("{}")'.format, st.sampled_from(["", "!"]), st.sampled_from(["Modality", "ImageType"])),
    # What fails for some values, or always.
    st.sampled_from(
        [
            "10 / SeriesNumber > 2",
            'ImageType[1] == "PRIMARY"',
            'Modality.matches(StudyDescription + "(")',
            "9223372036854775807 + SeriesNumber > 0",
            'ImageType.exists(Modality, Modality == "CT")',
            'ImageType.all(one, ImageType.all(two, one == two || Modality == "MR"))',
            '(Modality == "CT" ? SeriesNumber == 1 : 1 / SeriesNumber == 1)',
            "true",
            "false",
            r'Modality == "\u0043T"',
            'Modality == r"CT"',
            "size(Modality) == 2",
        ]
    ),
)
conditions = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.lists(inner, min_size=2, max_size=4).map(" && ".join),
        st.lists(inner, min_size=2, max_size=3).map(" || ".join),
        inner.map("({})".format),
        inner.map("!({})".format),
    ),
    max_leaves=8,
)
known: Mapping[str, st.SearchStrategy[object]] = {
    "Modality": st.sampled_from(TEXTS),
    "StudyDescription": st.sampled_from(TEXTS),
    "SeriesNumber": st.integers(-2, 4),
    "SliceThickness": st.sampled_from([0.0, -0.0, 1.5]),
    "ImageType": st.sampled_from([(), ("DERIVED",), ("CT", "PRIMARY")]),
}
odd = st.sampled_from(
    [0, 1, True, 1.0, 2**63, -(2**63), "CT", "\udc80", "\x00", "CT\x00", ("CT", 1), ["CT"], ("\udc80",), b"CT"]
)
values = st.fixed_dictionaries({}, optional=dict(known))
odd_values = st.fixed_dictionaries({}, optional={name: st.one_of(good, odd) for name, good in known.items()})
facts = st.builds(
    AssociationFacts,
    calling_ae_title=st.sampled_from([*TEXTS, "\udc80"]),
    called_ae_title=st.just("SKERRY"),
    peer_address=st.just("10.0.0.7"),
)
cases = st.tuples(
    facts,
    st.builds(
        lambda found, flags: TagSet(values=found, flags=flags),
        st.one_of(values, values, odd_values),
        st.sampled_from([(), (), ("undecodable:Modality",), ("invalid-uid:SOPInstanceUID",)]),
    ),
)


def policy(written: list[str]) -> Policy:
    routes = tuple(
        Route(name=f"r{n}", when=text, to=("pacs",), condition=compile_condition(text))
        for n, text in enumerate(written)
    )
    kept = Privacy(share=frozenset(), pseudonymise=frozenset())
    return Policy(label="test", destinations=(), routes=routes, keep_delivered=timedelta(0), privacy=kept)


@settings(max_examples=400, deadline=None)
@given(written=st.lists(conditions, min_size=1, max_size=6), asked=st.lists(cases, min_size=1, max_size=6))
@example(written=['Modality == "MR" && 10 / SeriesNumber > 2'], asked=[(NOBODY, TagSet(values={"SeriesNumber": 0}))])
@example(written=['Modality == ""'], asked=[(NOBODY, TagSet(values={"Modality": "\x00"}))])
@example(written=['10 / SeriesNumber > 2 && Modality == "MR"'], asked=[(NOBODY, TagSet(values={"SeriesNumber": 0}))])
def test_a_decision_never_differs_from_plain_evaluation(
    written: list[str], asked: list[tuple[AssociationFacts, TagSet]]
) -> None:
    try:
        tried = policy(written)
    except DoesNotCompile:
        return
    match.forget()
    for _time in range(2):
        for facts, tags in asked:
            assert decide(tried, facts, tags) == match._plainly(tried, facts, tags)


@pytest.mark.parametrize(
    "text",
    [
        'Modality == "MR"',
        '"MR" == Modality',
        'Modality != "CT"',
        'calling_ae_title.startsWith("MR") && StudyDescription.matches("^x")',
        '1 / SeriesNumber > 0 && Modality == "MR"',
        'Modality in ["MR", "US"]',
        '"DERIVED" in ImageType',
        "SeriesNumber == 7",
        'present("PatientID")',
        '!present("Modality")',
        '(Modality == "MR" || Modality == "US" && calling_ae_title == "CT01") && size(ImageType) > 0',
        'Modality == "MR" && ImageType.exists(one, one == "x")',
    ],
)
def test_what_is_plainly_false_is_ruled_out_without_the_engine(text: str) -> None:
    assert ruled_out(text) is True


@pytest.mark.parametrize(
    "text",
    [
        'Modality == "CT"',
        '(Modality == "MR" || size(ImageType) > 7)',
        'ImageType.exists(one, one == "x") && Modality == "MR"',
        r'Modality == "\u004dR"',
        'Modality == "MR" ? true : false',
        '!(Modality == "CT")',
        "SliceThickness == 7.0",
    ],
)
def test_what_is_not_plain_is_left_to_the_engine(text: str) -> None:
    assert not ruled_out(text)


def ruled_out(text: str) -> bool:
    condition = compile_condition(text)
    seen = view(NOBODY, TagSet(values={"Modality": "CT", "SeriesNumber": 0}), list(ATTRIBUTES), list(ATTRIBUTES))
    assert seen is not None
    return condition.ruled_out is not None and condition.ruled_out(seen)
