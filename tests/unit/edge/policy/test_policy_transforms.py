"""Transforms in a policy: what they mean, and what is said of a wrong one, with its place."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from edge.model import GroupDestination
from edge.orders import Orders, OrdersWatch, publish
from edge.policy.document import Policy, check_policy, load_policy, render
from edge.run_dir import RunDir
from edge.steps import Step, Transform, transform_of

HEAD = """\
skerry: 1
destinations:
  - {name: pacs, kind: dicom, ae_title: PACS, host: 10.0.0.5, port: 104, transforms: [site-b]}
routes:
  - {name: all, to: [pacs]}
transforms:
  - name: site-b
    steps:
"""
EVERY_KIND = (
    HEAD
    + """\
      - charset: utf-8
      - set: {tag: InstitutionName, value: Łódź}
      - remove: {tag: "(0010,4000)"}
      - remove: {tag: "(0009,1001)"}
      - copy: {from: PatientID, to: AccessionNumber}
      - hash: {tag: SOPInstanceUID}
      - map: {tag: PatientSex, table: {M: M, F: F}, otherwise: O}
      - map: {tag: PatientSex, table: {M: M}, otherwise: keep}
      - regex: {tag: PatientName, pattern: '^(.*)\\^(.*)$', replace: '\\2^\\1'}
      - prefix: {tag: AccessionNumber, value: B-}
      - remove_private: true
      - remove_private: [SIEMENS CSA HEADER]
"""
)


def _told(*steps: str) -> list[str]:
    """What is said of these steps; each line begins with its number and its column."""
    document = HEAD + "".join(f"      - {one}\n" for one in steps)
    first = HEAD.count("\n")
    return [f"{d.line - first}:{d.column} {d.message} {d.hint}".strip() for d in check_policy(document)]


def _transforms(policy: Policy) -> tuple[Transform, ...]:
    first = policy.destinations[0]
    assert not isinstance(first, GroupDestination)
    return first.transforms


def test_every_kind_of_step_is_understood() -> None:
    assert check_policy(EVERY_KIND) == ()
    (transform,) = _transforms(load_policy(EVERY_KIND))
    assert (transform.name, [one.kind for one in transform.steps]) == (
        "site-b",
        ["charset", "set", "remove", "remove", "copy", "hash", "map", "map", "regex", "prefix"]
        + ["remove_private"] * 2,
    )
    assert transform.steps[1] == Step(kind="set", tag=0x00080080, value="Łódź")
    assert transform.steps[6] == Step(
        kind="map", tag=0x00100040, table=(("M", "M"), ("F", "F")), otherwise="set", value="O"
    )
    assert transform.steps[11].keep == ("SIEMENS CSA HEADER",)


def test_transforms_reach_the_processes_that_deliver_as_they_are(tmp_path: Path) -> None:
    policy = load_policy(EVERY_KIND)
    (transform,) = _transforms(policy)
    assert transform_of(json.loads(json.dumps(asdict(transform)))) == transform
    run_dir = RunDir(tmp_path)
    run_dir.clear()
    orders = Orders(policy="local:1", destinations=policy.destinations)
    publish(run_dir, orders)
    assert OrdersWatch(run_dir).news() == orders


@pytest.mark.parametrize(
    ("step", "answer"),
    [
        (
            "set: {tag: InstitutionNam, value: x}",
            "there is no attribute `InstitutionNam` Did you mean `InstitutionName`?",
        ),
        ('set: {tag: StudyDate, value: "20201301"}', "a value of VR DA must be a date as YYYYMMDD"),
        ("set: {tag: Modality, value: ct}", "a value of VR CS must be at most 16 capital letters"),
        ('set: {tag: FrameOfReferenceUID, value: "1.02"}', "a value of VR UI must be a UID"),
        ("set: {tag: AccessionNumber, value: 12345678901234567x}", "a value of VR SH must be at most 16 characters"),
        ("set: {tag: PixelData, value: x}", "pixels, and what stands behind them, pass as they are"),
        ('set: {tag: Rows, value: "1"}', "it describes the pixels"),
        ("remove: {tag: TransferSyntaxUID}", "it belongs to the file or to the message"),
        ("remove: {tag: SOPClassUID}", "the kind of an object cannot be changed"),
        ("set: {tag: SpecificCharacterSet, value: ISO_IR 192}", "use the step `charset: utf-8`"),
        ('set: {tag: SOPInstanceUID, value: "1.2"}', "can be changed by `hash` only"),
        ("copy: {from: PatientID, to: StudyInstanceUID}", "can be changed by `hash` only"),
        ("hash: {tag: StudyDate}", "its VR DA cannot take part in `hash`"),
        ('set: {tag: "(0009,1001)", value: x}', "it can only be removed"),
        ("set: {tag: ReferencedImageSequence, value: x}", "its VR SQ cannot take part in `set`"),
        ("map: {tag: Modality, table: {CT: ct}}", "a value of VR CS must be"),
        ("map: {tag: Modality, table: {CT: CT}, otherwise: other}", "a value of VR CS must be"),
        ('prefix: {tag: PatientID, value: ""}', "a prefix has at least one character"),
        ("regex: {tag: PatientID, pattern: '(a+)+', replace: ''}", "a repeat cannot hold another repeat"),
        ("regex: {tag: PatientID, pattern: '(a)\\1', replace: ''}", "a pattern cannot refer back"),
        ("regex: {tag: PatientID, pattern: '(?=a)', replace: ''}", "a pattern cannot look ahead"),
        ("regex: {tag: PatientID, pattern: 'a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?', replace: ''}", "too many repeats"),
        ("regex: {tag: PatientID, pattern: '(', replace: ''}", "it is no regular expression"),
        ("regex: {tag: PatientID, pattern: 'a', replace: '\\2'}", "it is no regular expression"),
        ("charset: latin-1", "`charset` must be `utf-8`"),
        ("set: {tag: PatientID, valu: x}", "unknown key `valu`"),
        ("set: {tag: PatientID, value: 5}", "`value` must be a text; write numbers in quotes"),
        ("sett: {tag: PatientID}", "unknown key `sett` in transforms[1].steps[1] Did you mean `set`?"),
        ("{}", "a step has exactly one key, this one has none"),
        ("{charset: utf-8, remove_private: true}", "a step has exactly one key"),
        ("remove_private: false", "`remove_private: false` does nothing"),
        ("remove_private: 1", "`remove_private` must be `true`, or a list of the creators"),
    ],
)
def test_a_wrong_step_is_an_error_with_its_place(step: str, answer: str) -> None:
    told = _told(step)
    assert answer in " ".join(told)
    assert all(one.startswith("1:") for one in told)


def test_the_place_is_that_of_the_value_to_mend() -> None:
    (told,) = _told("charset: utf-8", "map: {tag: Modality, table: {CT: CT, MR: mr}}")
    assert told.startswith("2:50 ")


def test_a_destination_that_names_no_transform_is_told_the_nearest() -> None:
    (found,) = check_policy(EVERY_KIND.replace("[site-b]}", "[siteb]}"))
    assert (found.line, found.message, found.hint) == (3, "there is no transform `siteb`", "Did you mean `site-b`?")


def test_a_transform_without_steps_is_an_error_and_one_that_nobody_uses_a_warning() -> None:
    unused = HEAD + "      - charset: utf-8\n  - {name: other, steps: [charset: utf-8]}\n"
    (found,) = check_policy(unused)
    assert (found.severity, found.message) == ("warning", "no destination uses the transform `other`")
    (found,) = check_policy(unused.replace("[charset: utf-8]", "[]"))
    assert (found.severity, found.line) == ("error", 10)
    assert found.message.startswith("`steps` must be a list of one or more steps")


def test_two_transforms_of_one_name_are_an_error() -> None:
    (found,) = check_policy(HEAD + "      - charset: utf-8\n  - {name: site-b, steps: [charset: utf-8]}\n")
    assert found.message == "the name `site-b` is already taken (line 7)"


@pytest.mark.parametrize(
    "destination",
    [
        "kind: folder, path: /mnt/a",
        "kind: dicomweb, url: 'https://pacs.example/dicom-web'",
    ],
)
def test_a_destination_of_any_kind_names_transforms(destination: str) -> None:
    document = EVERY_KIND.replace("kind: dicom, ae_title: PACS, host: 10.0.0.5, port: 104", destination)
    assert render(check_policy(document), "policy.yaml") == ""
    assert _transforms(load_policy(document))[0].name == "site-b"
