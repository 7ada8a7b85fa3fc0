"""`policy diff`: what changed for the images, not for the eye."""

from __future__ import annotations

from control.policy_difference import changes, line_changes

BEFORE = b"""skerry: 1
# the old one
destinations:
  - {name: pacs, kind: dicom, ae_title: PACS, host: 10.0.0.5, port: 104}
  - {name: old, kind: folder, path: /old}
routes:
  - {name: ct, when: 'Modality == "CT"', to: [pacs]}
  - {name: all, to: [old]}
retention: {keep_delivered: 24h}
"""
AFTER = b"""retention: {keep_delivered: 48h}
destinations:
  - name: pacs
    kind: dicom
    ae_title: PACS
    host: 10.0.0.6
    port: 104
routes:
  - {name: all, to: [pacs]}
  - {name: ct, to: [pacs], when: 'Modality == "CT"'}
  - {name: mr, to: [pacs]}
duplicates: replace
skerry: 1
"""


def test_each_entry_is_told_once_with_what_became_of_it() -> None:
    found = {one.where: one.what for one in changes(BEFORE, AFTER)}
    assert found == {
        "destinations/pacs": "changed",
        "destinations/old": "removed",
        "routes/all": "changed",
        "routes/mr": "added",
        "routes": "moved",
        "retention": "changed",
        "duplicates": "added",
    }


def test_a_change_names_its_fields_with_both_values() -> None:
    (text,) = [one.text() for one in changes(BEFORE, AFTER) if one.where == "destinations/pacs"]
    assert text == "changed  destinations/pacs\n  host: 10.0.0.5 -> 10.0.0.6"


def test_what_is_only_written_otherwise_is_no_change() -> None:
    assert changes(BEFORE, BEFORE.replace(b"# the old one\n", b"")) == []
    assert "-# the old one" in line_changes(BEFORE, BEFORE.replace(b"# the old one\n", b""), "north 1", "north 2")


def test_sections_that_are_no_lists_of_names_are_compared_as_a_whole() -> None:
    twice = b"routes: [{name: a}, {name: a}]"
    assert [(one.where, one.what) for one in changes(b"routes: [{name: a}]", twice)] == [("routes", "changed")]
    assert [(one.where, one.what) for one in changes(b"[]", b"skerry: 1")] == [("skerry", "added")]
