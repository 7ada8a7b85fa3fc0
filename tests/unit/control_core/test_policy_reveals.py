"""A new policy that shows the centre more than the one before says which attributes."""

from __future__ import annotations

from control.policies.preview import newly_shown, reveals

BASE = b"""skerry: 1
destinations: []
routes: []
"""


def policy(privacy: str) -> bytes:
    return BASE + f"privacy: {privacy}\n".encode()


NARROW = policy("{share: [StudyInstanceUID, Modality], pseudonymise: [PatientID]}")


def test_what_was_kept_back_and_what_was_a_pseudonym_are_named_apart() -> None:
    wide = policy("{share: [StudyInstanceUID, Modality, PatientID, PatientBirthDate], pseudonymise: [PatientName]}")
    shown = newly_shown(NARROW, wide)
    assert shown.kept_back == ("PatientBirthDate", "PatientName")
    assert shown.pseudonymised == ("PatientID",)


def test_a_policy_that_shows_the_same_or_less_reveals_nothing() -> None:
    assert reveals(NARROW, NARROW, before_version=1) == ()
    assert reveals(NARROW, policy("{share: [StudyInstanceUID], pseudonymise: [PatientID]}"), before_version=1) == ()


def test_leaving_the_privacy_rule_out_reveals_what_the_default_shares() -> None:
    (warning,) = reveals(NARROW, BASE, before_version=3)
    assert warning.severity == "warning"
    assert "PatientName" in warning.message
    assert "version 3 pseudonymised: PatientID" in warning.message
    assert "policy activate" in warning.hint


def test_the_warning_points_at_the_privacy_rule() -> None:
    (warning,) = reveals(NARROW, policy("{share: [PatientName]}"), before_version=1)
    assert (warning.line, warning.column) == (4, 1)


def test_a_version_before_that_no_longer_reads_is_passed_over() -> None:
    assert reveals(b"skerry: 0", NARROW, before_version=1) == ()
