"""What of an instance the control plane may learn."""

from __future__ import annotations

import hashlib
import hmac
from datetime import timedelta

import pytest

from edge.model import TagSet
from edge.policy.document import Policy, load_policy
from edge.policy.model import DEFAULT_SHARE
from edge.policy.privacy import shared_tags, shared_uid
from edge.vocabulary import ATTRIBUTES

KEY = b"k" * 32
TAGS = TagSet(
    values={
        "PatientID": "P1",
        "PatientName": "Doe^Jane",
        "PatientBirthDate": "19700101",
        "PatientComments": "anything",
        "StudyInstanceUID": "1.2.3",
        "Modality": "CT",
        "SeriesNumber": 4,
        "SliceThickness": 1.25,
        "ImageType": ("ORIGINAL", "PRIMARY"),
    }
)


def policy(sections: str = "") -> Policy:
    return load_policy("skerry: 1\ndestinations: []\nroutes: []\n" + sections)


def pseudonym(value: str, key: bytes = KEY) -> str:
    return hmac.new(key, value.encode(), hashlib.sha256).hexdigest()[:32]


def test_without_a_privacy_section_only_what_a_study_search_needs_is_shared() -> None:
    assert shared_tags(policy(), TAGS, KEY) == {
        "PatientID": "P1",
        "PatientName": "Doe^Jane",
        "StudyInstanceUID": "1.2.3",
        "Modality": "CT",
        "SeriesNumber": "4",
    }


def test_the_default_names_known_attributes_and_nothing_written_freely_about_the_patient() -> None:
    assert set(DEFAULT_SHARE) <= ATTRIBUTES.keys()
    kept = {
        "PatientBirthDate",
        "PatientSex",
        "PatientAge",
        "PatientComments",
        "ReferringPhysicianName",
        "OperatorsName",
    }
    assert not kept & set(DEFAULT_SHARE)


def test_an_empty_list_shares_nothing_at_all() -> None:
    silent = policy("privacy: {share: []}")
    assert shared_tags(silent, TAGS, KEY) == {}
    assert shared_uid(silent, "StudyInstanceUID", "1.2.3", KEY) == ""


def test_what_is_pseudonymised_leaves_only_as_a_keyed_hash() -> None:
    hashed = policy("privacy: {pseudonymise: [PatientID, PatientName, ImageType]}")
    shared = shared_tags(hashed, TAGS, KEY)
    assert shared["PatientID"] == pseudonym("P1")
    assert shared["PatientName"] == pseudonym("Doe^Jane")
    assert shared["ImageType"] == pseudonym("ORIGINAL\\PRIMARY")
    assert shared["Modality"] == "CT"  # the default list stays in force
    assert shared_tags(hashed, TAGS, b"another")["PatientID"] == pseudonym("P1", b"another")


def test_pseudonymise_wins_over_share() -> None:
    both = policy("privacy: {share: [PatientID, StudyInstanceUID], pseudonymise: [PatientID]}")
    assert shared_tags(both, TAGS, KEY) == {"PatientID": pseudonym("P1"), "StudyInstanceUID": "1.2.3"}


def test_several_values_and_numbers_become_text() -> None:
    wide = policy("privacy: {share: [StudyInstanceUID, ImageType, SliceThickness]}")
    shared = shared_tags(wide, TAGS, KEY)
    assert (shared["ImageType"], shared["SliceThickness"]) == ("ORIGINAL\\PRIMARY", "1.25")


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ("", "1.2.3"),
        ("privacy: {share: [Modality]}", ""),
        ("privacy: {pseudonymise: [StudyInstanceUID]}", pseudonym("1.2.3")),
    ],
)
def test_uids_that_travel_outside_the_tags_follow_the_same_rule(section: str, expected: str) -> None:
    rule = policy(section)
    assert shared_uid(rule, "StudyInstanceUID", "1.2.3", KEY) == expected
    assert shared_tags(rule, TAGS, KEY).get("StudyInstanceUID", "") == expected
    assert shared_uid(rule, "StudyInstanceUID", "", KEY) == ""


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ("", timedelta(hours=24)),
        ("retention: {}", timedelta(hours=24)),
        ("retention: {keep_delivered: 90s}", timedelta(seconds=90)),
        ("retention: {keep_delivered: 15m}", timedelta(minutes=15)),
        ("retention: {keep_delivered: 7d}", timedelta(days=7)),
        ("retention: {keep_delivered: 0s}", timedelta(0)),
    ],
)
def test_retention_is_read_with_its_unit(section: str, expected: timedelta) -> None:
    assert policy(section).keep_delivered == expected
