"""Which routes take an instance, why, and where it goes."""

from __future__ import annotations

import gc
import threading
from pathlib import Path

import psutil
import pytest

from edge.model import AssociationFacts, Decision, DicomDestination, FolderDestination, TagSet, TagValue
from edge.policy.document import Policy, PolicyError, load_policy
from edge.policy.match import decide

FACTS = AssociationFacts(calling_ae_title="CT01", called_ae_title="SKERRY", peer_address="10.0.0.7")


def policy_with(condition: str) -> Policy:
    return load_policy(
        "skerry: 1\ndestinations: [{name: pacs, kind: folder, path: /x}]\nroutes:\n  - name: only\n    to: [pacs]\n"
        "    when: |\n" + "".join(f"      {line}\n" for line in condition.splitlines())
    )


def tags(*flags: str, **values: TagValue) -> TagSet:
    return TagSet(values=values, flags=flags)


def outcome(condition: str, given: TagSet, facts: AssociationFacts = FACTS) -> tuple[bool, str]:
    (result,) = decide(policy_with(condition), facts, given).outcomes
    return result.matched, result.reason


@pytest.mark.parametrize(
    ("condition", "values", "matches"),
    [
        ('Modality == "CT"', {"Modality": "CT"}, True),
        ('Modality == "CT"', {"Modality": "MR"}, False),
        ('Modality in ["CT", "MR"] && SliceThickness < 2.0', {"Modality": "MR", "SliceThickness": 1.5}, True),
        ('"DERIVED" in ImageType', {"ImageType": ("DERIVED", "SECONDARY")}, True),
        ("ImageType.exists(part, part.startsWith('LOCAL'))", {"ImageType": ("ORIGINAL", "LOCALIZER")}, True),
        ("size(ImageType) == 0", {}, True),
        ("SeriesNumber > 99", {"SeriesNumber": 100}, True),
        ('StudyDescription.matches("(?i)stroke|trauma")', {"StudyDescription": "CCT STROKE"}, True),
        ('PatientName.contains("Müller")', {"PatientName": "Müller^Jörg"}, True),
        ('!present("BodyPartExamined")', {}, True),
        ('present( "BodyPartExamined" ) && BodyPartExamined != "HEAD"', {"BodyPartExamined": "KNEE"}, True),
        ("present('Modality') // a comment with \"quotes\" and Rows", {"Modality": "CT"}, True),
        ('Modality == "" && Rows == 0 && KVP == 0.0', {}, True),
        ('calling_ae_title.startsWith("CT") && called_ae_title == "SKERRY"', {}, True),
        ('peer_address.startsWith("10.0.")', {}, True),
        ('"present(\\"Rows\\")" == Modality', {"Modality": 'present("Rows")'}, True),
    ],
)
def test_conditions_see_attributes_and_the_association(
    condition: str, values: dict[str, TagValue], matches: bool
) -> None:
    assert outcome(condition, TagSet(values=values))[0] is matches


@pytest.mark.parametrize(
    ("condition", "values", "reason"),
    [
        ("100 / SeriesNumber == 2", {}, "it divides by zero"),
        ("Modality.matches(StudyDescription)", {"StudyDescription": "[secret"}, "regular expression is not valid"),
        ('ImageType[2] == "AXIAL"', {"ImageType": ("ORIGINAL",)}, "a list element that is not there"),
        ("int(StudyDescription) > 1", {"StudyDescription": "secret"}, "it cannot be evaluated with these values"),
        ('Modality == "CT"', {"Modality": "secret\udc80"}, "it cannot be evaluated with these values"),
        ("SeriesNumber * 9223372036854775807 > 1", {"SeriesNumber": 9}, "a number is too large"),
        ("SeriesNumber > 1", {"SeriesNumber": 2**80}, "it cannot be evaluated with these values"),
        (
            "ImageType.all(a, ImageType.all(b, a + b != 'x'))",
            {"ImageType": ("secret",) * 300},
            "it needs too many steps",
        ),
    ],
)
def test_a_condition_that_fails_does_not_match_and_says_why_without_any_value(
    condition: str, values: dict[str, TagValue], reason: str
) -> None:
    matched, said = outcome(condition, TagSet(values=values))
    assert not matched
    assert "the condition failed: " in said
    assert reason in said
    assert "secret" not in said


def test_reasons_name_attributes_without_a_value_but_never_a_value() -> None:
    condition = 'PatientID == "SECRET-1" || BodyPartExamined == "HEAD" || PatientName == "X"'
    given = tags("undecodable:PatientName", PatientID="SECRET-2")
    matched, reason = outcome(condition, given)
    assert not matched
    assert reason == (
        "the condition is false; without a value here: PatientName, BodyPartExamined; could not be decoded: PatientName"
    )


def test_every_route_is_tried_and_each_destination_is_named_once_in_the_order_of_the_policy() -> None:
    policy = load_policy(
        """
skerry: 1
destinations:
  - {name: a, kind: folder, path: /a}
  - {name: b, kind: dicom, ae_title: "PACS B", host: "fd00::5", port: 104, calling_ae_title: ME, associations: 7}
  - {name: c, kind: dicom, ae_title: C, host: c.example, port: 11112}
routes:
  - {name: failing, when: "1 / SeriesNumber == 1", to: [c]}
  - {name: second, to: [b, a]}
  - {name: third, when: "true", to: [b]}
  - {name: fourth, when: "false", to: [c]}
"""
    ).labelled("3.17")
    decision = decide(policy, FACTS, tags())
    assert [(o.route, o.matched) for o in decision.outcomes] == [
        ("failing", False),
        ("second", True),
        ("third", True),
        ("fourth", False),
    ]
    assert all(o.reason for o in decision.outcomes)
    assert decision.destinations == ("a", "b")
    assert decision.policy == "3.17"
    assert policy.destinations == (
        FolderDestination(name="a", path="/a"),
        DicomDestination(name="b", host="fd00::5", port=104, ae_title="PACS B", calling_ae_title="ME", associations=7),
        DicomDestination(name="c", host="c.example", port=11112, ae_title="C"),
    )


def test_the_label_tells_the_document_and_policies_of_one_document_are_equal() -> None:
    first, second = policy_with("true"), policy_with("true")
    assert first == second
    assert first.label.startswith("local:")
    assert len(first.label) == len("local:") + 12
    assert policy_with("false").label != first.label


def test_many_threads_may_decide_with_one_policy() -> None:
    policy = policy_with('Modality == "CT" && SliceThickness > 2.0 && present("Rows") && "A" in ImageType')
    matching = tags(Modality="CT", SliceThickness=2.5, Rows=5, ImageType=("A", "B"))
    other = tags(Modality="MR")
    wrong: list[Decision] = []

    def work() -> None:
        for _ in range(2_000):
            for given, expected in ((matching, ("pacs",)), (other, ())):
                decision = decide(policy, FACTS, given)
                if decision.destinations != expected:
                    wrong.append(decision)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not wrong


def test_a_hundred_thousand_decisions_leave_memory_as_it_was() -> None:
    good = policy_with('Modality == "CT" && ImageType.exists(x, x == "A") && present("Rows")')
    failing = policy_with("1 / SeriesNumber == 1 || Modality.matches(StudyDescription)")
    given = tags(Modality="CT", Rows=5, ImageType=("A", "B"), StudyDescription="[")

    def run(times: int) -> None:
        for _ in range(times):
            decide(good, FACTS, given)
            decide(failing, FACTS, given)

    run(5_000)
    gc.collect()
    process = psutil.Process()
    before = process.memory_info().rss
    run(50_000)
    gc.collect()
    assert process.memory_info().rss - before < 8 * 1024 * 1024


def test_loading_policies_over_and_over_leaves_memory_as_it_was() -> None:
    def run(times: int) -> None:
        for i in range(times):
            policy_with(f'Modality == "CT{i}" && Rows > {i}')

    run(100)
    gc.collect()
    process = psutil.Process()
    before = process.memory_info().rss
    run(500)
    gc.collect()
    assert process.memory_info().rss - before < 8 * 1024 * 1024


def test_only_one_module_knows_the_cel_engine() -> None:
    package = Path(__file__).parents[4] / "edge"
    knowing = [p.name for p in package.rglob("*.py") if "cel_expr_python" in p.read_text(encoding="utf-8")]
    assert knowing == ["cel.py"]


@pytest.mark.parametrize(
    ("written", "replaces"), [("", False), ("keep-both", False), ("replace", True), ("refuse", False)]
)
def test_a_policy_says_what_becomes_of_another_object_under_a_held_uid(written: str, *, replaces: bool) -> None:
    key = f"duplicates: {written}\n" if written else ""
    policy = load_policy(f"skerry: 1\n{key}destinations: []\nroutes: []\n")
    assert policy.duplicates == (written or "keep-both")
    assert decide(policy, FACTS, tags()).replaces is replaces


def test_another_word_for_duplicates_is_an_error_that_names_the_three() -> None:
    with pytest.raises(PolicyError) as refused:
        load_policy("skerry: 1\nduplicates: overwrite\ndestinations: []\nroutes: []\n")
    (found,) = refused.value.diagnostics
    assert (found.line, found.message) == (2, "`duplicates` must be `keep-both`, `replace` or `refuse`")
