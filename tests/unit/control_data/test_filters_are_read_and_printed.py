"""The filter language: what it means, and that every refusal has a place and says what to do."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from control.errors import InvalidFilter
from control.filters.parser import MAX_DEPTH, MAX_TERMS, read_filter
from control.filters.printer import text_of
from control.filters.terms import And, Compare, Days, Not, Or, Sense, Term, Wild, begins, equal
from control.filters.tokens import MAX_LENGTH
from tests.filter_rows import terms


@settings(max_examples=300, deadline=None)
@given(terms())
def test_what_is_printed_reads_back_as_the_same_terms(term: Term) -> None:
    assert read_filter(text_of(term)) == term


@settings(max_examples=300, deadline=None)
@given(st.text("PatientIDStateANDORNOTin=\"'\\*?()<>!.,-_ 0129é\u201c\x00", max_size=60))
def test_any_text_is_a_filter_or_refused_with_a_place_in_it(text: str) -> None:
    read: Term | InvalidFilter
    try:
        read = read_filter(text)
    except InvalidFilter as refused:
        read = refused
    if isinstance(read, InvalidFilter):
        assert 1 <= read.position <= len(text) + 1
    else:
        assert read_filter(text_of(read)) == read


def test_the_example_of_the_documentation_is_read_as_it_is_meant() -> None:
    read = read_filter(
        'PatientID = "123" AND (Modality = CT OR NOT StudyDate < 2026-01-01) AND Site = north AND State = parked'
        ' AND CallingAETitle = "CT*"'
    )
    assert read == And(
        (
            equal("PatientID", "123"),
            Or((equal("Modality", "CT"), Not(Days("StudyDate", None, date(2025, 12, 31))))),
            equal("Site", "north"),
            equal("State", "parked"),
            begins("CallingAETitle", "CT"),
        )
    )


@pytest.mark.parametrize(
    ("text", "term"),
    [
        ("patient_id=1", equal("PatientID", "1")),
        ("Modality != CT", Not(equal("Modality", "CT"))),
        ("Site in (north, 'so uth')", Or((equal("Site", "north"), equal("Site", "so uth")))),
        ("Site IN (north)", equal("Site", "north")),
        ("not Site=a or Site=b and Site=c",
         Or((Not(equal("Site", "a")), And((equal("Site", "b"), equal("Site", "c")))))),
        (r'PatientName = "a\*b\"?"', Compare("PatientName", Sense.EQUAL, ('a*b"', Wild.ONE))),
        ("PatientName = **DOE", Compare("PatientName", Sense.EQUAL, (Wild.MANY, "DOE"))),
        ("AccessionNumber >= A17", Compare("AccessionNumber", Sense.AT_LEAST, ("A17",))),
        ('AccessionNumber = ""', Compare("AccessionNumber", Sense.EQUAL, ())),
        ("Modality = OR", equal("Modality", "OR")),
        ("State = Parked", equal("State", "parked")),
        ("StudyDate = 2026-02", Days("StudyDate", date(2026, 2, 1), date(2026, 2, 28))),
        ("StudyDate > 2026-02", Days("StudyDate", date(2026, 3, 1), None)),
        ("StudyDate <= 20260203", Days("StudyDate", None, date(2026, 2, 3))),
        ("StudyDate = 2025..2026-01", Days("StudyDate", date(2025, 1, 1), date(2026, 1, 31))),
        ("StudyDate = 2026-01-05..", Days("StudyDate", date(2026, 1, 5), None)),
    ],
)  # fmt: skip
def test_filters_mean_what_they_say(text: str, term: Term) -> None:
    assert read_filter(text) == term


@pytest.mark.parametrize(
    ("text", "position", "told"),
    [
        ("PatientNam = x", 1, "Perhaps PatientName"),
        ("Site = a AND Modalty = CT", 14, "Perhaps Modality"),
        ("AETitle = CT1", 1, "CallingAETitle"),
        ("State = parkt", 9, "Perhaps parked"),
        ("State < parked", 7, "= and != only"),
        ("Modality > CT", 10, "= and != only"),
        ("PatientID < 1*", 13, "A wildcard has no order"),
        ("StudyDate = yesterday", 13, "Write 2026-01-31"),
        ("StudyDate = 2026-02-30", 13, "no such day"),
        ("StudyDate = 2026-02..2025", 13, "ends before"),
        ("StudyDate > 9999-12-31", 13, "Nothing is beyond"),
        ("(Site = a", 1, "never closed"),
        ("Site = a)", 9, "never opened"),
        ("Site = a Site = b", 10, "AND or OR is missing"),
        ('Site = "a', 8, "never closed"),
        ("Site =", 7, "a value is missing"),
        ("doe", 1, "A word alone"),
        ("Site a", 6, "stands ="),
        ("Site IN north", 9, "in parentheses"),
        ("Site = \u201ca\u201d", 8, "straight"),
        ("", 1, "a field is expected"),
        ("Site = a\0", 9, "cannot be searched"),
        ("PatientID = a*b*c*d*e*f*g*h*i*j", 13, "wildcards"),
        ("NOT " * (MAX_DEPTH + 2) + "Site=a", 4 * (MAX_DEPTH + 1) + 1, "inside each other"),
        ("(" * 2000 + ")" * 2000, MAX_DEPTH + 2, "inside each other"),
        (" OR ".join(["Site=a"] * (MAX_TERMS + 1)), MAX_TERMS * 10 + 6, "comparisons"),
        ("x" * (MAX_LENGTH + 1), MAX_LENGTH + 1, "characters"),
    ],
)
def test_what_cannot_be_understood_is_refused_with_its_place_and_what_to_do(
    text: str, position: int, told: str
) -> None:
    with pytest.raises(InvalidFilter) as caught:
        read_filter(text)
    assert told in f"{caught.value} {caught.value.hint}"
    assert caught.value.position == position
    assert caught.value.details()["position"] == position


def test_a_refusal_never_repeats_what_was_searched_for() -> None:
    for text in ("PatientName = 'ROE^JANE' ROE", "ROE^JANE = 1", "StudyDate = ROE"):
        with pytest.raises(InvalidFilter) as caught:
            read_filter(text)
        assert "ROE" not in f"{caught.value} {caught.value.hint} {caught.value.details()}"
