"""Names of files and objects: what a template may be, and that no value leaves its place."""

from __future__ import annotations

import posixpath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.key_template import faults_of, names_of
from edge.model import DEFAULT_TEMPLATE

OWN = "0" * 32


def _names(template: str, **uids: str) -> tuple[str, str]:
    values = {"study": "1.2", "series": "1.2.3", "instance": "1.2.3.4", **uids}
    return names_of(template, own_id=OWN, **values)


def test_the_default_is_study_series_instance_and_the_newcomer_gets_our_id_before_the_ending() -> None:
    assert faults_of(DEFAULT_TEMPLATE) == ()
    assert _names(DEFAULT_TEMPLATE) == ("1.2/1.2.3/1.2.3.4.dcm", f"1.2/1.2.3/1.2.3.4_{OWN}.dcm")


@pytest.mark.parametrize(
    ("template", "beside"),
    [
        ("{SOPInstanceUID}", f"1.2.3.4_{OWN}"),
        ("in/{SOPInstanceUID}/image.dcm", f"in/1.2.3.4/image_{OWN}.dcm"),
        ("v1.0/{SOPInstanceUID}", f"v1.0/1.2.3.4_{OWN}"),
        ("{SOPInstanceUID}/image", f"1.2.3.4/image_{OWN}"),
    ],
)
def test_the_points_of_a_uid_or_of_a_folder_are_no_ending(template: str, beside: str) -> None:
    assert faults_of(template) == ()
    assert _names(template)[1] == beside


@pytest.mark.parametrize(
    ("template", "column", "says"),
    [
        ("../{SOPInstanceUID}", 1, "would leave"),
        ("a/../{SOPInstanceUID}", 3, "would leave"),
        ("a/./{SOPInstanceUID}", 3, "would leave"),
        ("/{SOPInstanceUID}", 1, "begins with"),
        ("a//{SOPInstanceUID}", 3, "empty part"),
        ("{SOPInstanceUID}/", 18, "empty part"),
        ("a\\{SOPInstanceUID}", 2, "may not stand"),
        ("a b{SOPInstanceUID}", 2, "may not stand"),
        ("{PatientName}/{SOPInstanceUID}", 1, "no field"),
        ("{}/{SOPInstanceUID}", 1, "no field"),
        ("{SOPInstanceUID", 1, "no partner"),
        ("x}{SOPInstanceUID}", 2, "no partner"),
        ("{StudyInstanceUID}/{SeriesInstanceUID}.dcm", 1, "same name"),
        (".hidden/{SOPInstanceUID}", 1, "hidden"),
        ("{StudyInstanceUID}{SeriesInstanceUID}{SOPInstanceUID}{SOPInstanceUID}", 1, "longer"),
    ],
)
def test_a_template_that_cannot_be_is_refused_at_its_place(template: str, column: int, says: str) -> None:
    (fault, *_) = faults_of(template)
    assert (fault.column, says in fault.message) == (column, True), fault
    assert fault.hint


def test_a_value_that_is_no_uid_is_replaced() -> None:
    assert (
        _names(DEFAULT_TEMPLATE, study="..", series="a/b", instance="../../evil")[0] == f"no-study/no-series/{OWN}.dcm"
    )
    assert _names("{SOPInstanceUID}", instance="1" * 65)[0] == OWN


@given(
    template=st.lists(st.sampled_from([*"./\\{}aZ-", "{SOPInstanceUID}", "{StudyInstanceUID}"]), max_size=12).map(
        "".join
    ),
    uid=st.text(max_size=70),
)
def test_whatever_the_template_and_the_values_are_a_name_stays_below_its_place(template: str, uid: str) -> None:
    if not faults_of(template):
        for name in names_of(template, study=uid, series=uid, instance=uid, own_id=OWN):
            assert name == posixpath.normpath(name)
            assert not name.startswith(("/", "../"))
            assert name != ".."
            assert all(0 < len(part) <= 255 for part in name.split("/"))
