"""What a person is told of a wrong policy: the place to mend, and what to write there."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.policy.document import Diagnostic, PolicyError, check_policy, load_policy, render

GOOD = """\
skerry: 1
destinations:
  - {name: pacs, kind: dicom, ae_title: PACS, host: 10.0.0.5, port: 104}
  - {name: archive, kind: folder, path: /mnt/archive}
routes:
  - {name: all-ct, when: 'Modality == "CT"', to: [pacs, archive]}
  - {name: everything, to: [pacs]}
retention: {keep_delivered: 24h}
privacy: {share: [StudyInstanceUID, Modality], pseudonymise: [PatientID]}
"""


def only(document: str | bytes) -> Diagnostic:
    diagnostics = check_policy(document)
    assert len(diagnostics) == 1, render(diagnostics, "policy.yaml")
    return diagnostics[0]


def marked(document: str) -> tuple[str, int, int]:
    """The document without its mark, and the line and column where the mark stood."""
    before, mark, after = document.partition("▸")
    assert mark
    return before + after, before.count("\n") + 1, len(before) - before.rfind("\n")


def with_condition(condition: str) -> str:
    return GOOD.replace("""'Modality == "CT"'""", condition)


def test_a_good_document_has_nothing_to_be_said_of_it() -> None:
    assert check_policy(GOOD) == ()
    assert check_policy(GOOD.replace("\n", "\r\n")) == ()
    assert check_policy("\ufeff" + GOOD) == ()
    assert check_policy(GOOD.encode()) == ()


@pytest.mark.parametrize(
    ("written", "instead", "message", "hint"),
    [
        ("retention:", "▸retntion:", "unknown key `retntion`", "Did you mean `retention`?"),
        ("{keep_delivered: 24h}", "{▸keep: 24h}", "unknown key `keep` in retention", "keep_delivered"),
        ("port: 104}", "port: 104, associations: ▸17}", "at the same time, from 1 to 16", "a number."),
        ("port: 104", "▸prot: 104", "unknown key `prot` in destinations[1]", "Did you mean `port`?"),
        ("{name: pacs, kind: dicom, ae_title: PACS, host: 10.0.0.5, port: 104}",
         "▸{name: pacs, kind: dicom, ae_title: PACS, host: 10.0.0.5}",
         "`port` is missing in destinations[1]", "from 1 to 65535"),
        ("port: 104", "port: ▸0", "`port` must be a port number from 1 to 65535", ""),
        ("port: 104", "port: ▸'104'", "`port` must be a port number", "without quotes: 104"),
        ("port: 104", "port: ▸dicom", "`port` must be a port number", ""),
        ("port: 104", "port: ▸104.5", "`port` must be a port number", "YAML reads this as a number"),
        ("ae_title: PACS", "ae_title: ▸PACS_OF_THE_NORTH", "1 to 16 ASCII characters", ""),
        ("ae_title: PACS", "ae_title: ▸'P\\S'", "without backslash", ""),
        ("ae_title: PACS", "ae_title: ▸1234", "an AE title", 'write it in quotes: "1234"'),
        ("ae_title: PACS", "ae_title: ▸NO", "an AE title", "reads this as true or false"),
        ("ae_title: PACS", "ae_title:▸ ", "an AE title", "reads this as nothing"),
        ("ae_title: PACS", "ae_title: ▸[PACS]", "an AE title", "Here stands a list"),
        ("host: 10.0.0.5", "host: ▸http://pacs", "a host name or an IP address", ""),
        ("kind: dicom", "kind: ▸dicm", "unknown kind of destination `dicm`", "Did you mean `dicom`?"),
        ("{name: archive, kind: folder,", "▸{name: archive,", "`kind` is missing",
         "`dicom`, `folder`, `dicomweb`, `s3`, `failover` or `balance`"),
        ("path: /mnt/archive", "path: ▸mnt", "an absolute path", ""),
        ("everything, to: [pacs]}", "everything, to: [pacs]}\n  - {name: ▸all-ct, to: [archive]}",
         "`all-ct` is already taken (line 6)", "a name of its own"),
        ("routes:", "  - {name: ▸pacs, kind: folder, path: /x}\nroutes:", "`pacs` is already taken (line 3)", ""),
        ("name: archive", "name: ▸the archive", "1 to 64 letters", ""),
        ("[pacs, archive]", "[pacs, archive, ▸archiv]", "no destination `archiv`", "Did you mean `archive`?"),
        ("to: [pacs]", "to: ▸pacs", "`to` must be a list of one or more names", ""),
        ("to: [pacs]", "to: ▸[]", "`to` must be a list of one or more names", ""),
        ("{name: everything, to: [pacs]}", "▸{name: everything}", "`to` is missing in routes[2]", "a list of one or"),
        ("24h", "▸24", "`keep_delivered` must be a duration", 'give it a unit: 24h or 24d'),
        ("24h", "▸1 day", "`keep_delivered` must be a duration", ""),
        ("24h", "▸9999d", "at most 3650d", ""),
        ("Modality],", "▸Modalty],", "no attribute `Modalty`", "Did you mean `Modality`?"),
        ("[PatientID]", "[▸PatientId]", "no attribute `PatientId`", "Did you mean `PatientID`?"),
        ("[PatientID]", "[▸5]", "the keyword of an attribute", "reads this as a number"),
        ("skerry: 1", "skerry: ▸2", "document format 2 is unknown", "skerry: 1"),
        ("skerry: 1", "skerry: ▸'1'", "`skerry` must be the document format, 1", ""),
        ("skerry: 1\n", "▸", "`skerry` is missing", "the document format, 1"),
        ("retention:", "▸skerry:", "`skerry` stands here a second time (first on line 1)", "Keep one"),
        ("name: all-ct,", "name: x, ▸name: y,", "`name` stands here a second time", ""),
        ("{name: everything,", "{▸[a]: everything,", "a key must be text", ""),
        ("{name: everything,", "{▸on: everything,", "a key must be text", '"on"'),
        ("  - {name: archive", "▸\t- {name: archive", "tabs cannot indent YAML", "spaces"),
        ("[PatientID]", "▸&ids [PatientID]", "anchors and aliases", ""),
        ("[PatientID]", "▸*ids", "anchors and aliases", ""),
        ("[PatientID]", "▸!!python/name:os.system x", "tags (!)", ""),
        ("[PatientID]}\n", "[PatientID\n▸", "the file ends too early", "on line 9 left open"),
        ("retention: {", "retention: x▸: {", "a `:` is not allowed here", ""),
        ("retention:", "▸---\nretention:", "a second document", "one policy in one file"),
        ("24h", "2▸\x004h", "a control character", ""),
        ("{keep_delivered: 24h}", "▸soon", "`retention` must be a group of keys", ""),
        ("{name: everything, to: [pacs]}", "▸everything", "must be a group of keys", ""),
    ],
)  # fmt: skip
def test_the_finding_has_its_place_and_its_remedy(written: str, instead: str, message: str, hint: str) -> None:
    assert written in GOOD
    document, line, column = marked(GOOD.replace(written, instead))
    found = only(document)
    assert found.severity == "error"
    assert (found.line, found.column) == (line, column)
    assert message in found.message
    assert hint in found.hint


@pytest.mark.parametrize(
    ("condition", "message", "hint"),
    [
        # Each YAML style of writing a condition; the place is that of the file.
        ("""'▸Modalty == "CT"'""", "no attribute `Modalty`", "Did you mean `Modality`?"),
        ("""'Modality == ''CT'' && ▸Modalti == "A"'""", "no attribute `Modalti`", "Modality"),
        (r'''"Modality == \"CT\" && ▸Modalti == \"A\""''', "no attribute `Modalti`", "Modality"),
        ("""'Modality == "CT"\n      && ▸Modalti == "A"'""", "no attribute `Modalti`", "Modality"),
        (r'''▸"\u004dodalti == 'A'"''', "no attribute `Modalti`", "Modality"),  # the scalar's own place
        ("""'Modality == "CT" && SliceThickness ▸> 2'""", "decimal number and whole number", "2.0"),
        ("""'SeriesNumber ▸> 1.5'""", "whole number and decimal number", ""),
        ("""'SeriesNumber ▸== "1"'""", "whole number and text", "quotes"),
        ("""'ImageType ▸== "AXIAL"'""", "list of texts and text", '"VALUE" in Attribute'),
        ("""'Modality ▸in "CT"'""", "`in` cannot", '["CT", "MR"]'),
        ("""'Modality ▸== null'""", "text and null", "present("),
        ("""'▸Modality'""", "gives a text, not true or false", "Compare"),
        ("""'Modality == ▸CT'""", "no attribute `CT`", 'quotes: "CT"'),
        ("""'Modality ▸= "CT"'""", "`=` is not an operator", "`==`"),
        ("""'Modality == "CT" ▸and true'""", "`and` is not an operator", "`&&`"),
        ("""'Modality == "CT" ▸& true'""", "`&` is not an operator", "`&&`"),
        ("""'not ▸present("Modality")'""", "`not` is not an operator", "`!`"),
        ("""'(Modality == "CT"▸'""", "a `)` is missing here", "brackets"),
        ("""'Modality == ▸"CT'""", "not closed", ""),
        ("""'Modality == ▸“CT”'""", "typographic quotes", "straight"),
        ("""'Modality == "CT" &&▸'""", "ends too early", ""),
        ("""'Modality.startswith▸("C")'""", "no function `startswith`", "Did you mean `startsWith`?"),
        ("""'lower▸(Modality) == "ct"'""", "no function `lower`", "startsWith"),
        ("""'has(▸Modality)'""", "has() does not work", "present("),
        ("""'▸present(Modality)'""", "the name of one attribute in quotes", 'present("PatientID")'),
        ("""'Rows > 1 && present(▸"Modalty")'""", "no attribute `Modalty`", "Did you mean `Modality`?"),
        ("""'present("Rows") && ▸Modalty == ""'""", "no attribute `Modalty`", "Did you mean `Modality`?"),
        ("""'Modality.matches(▸"[")'""", "this regular expression is not valid", "RE2"),
        ("""'▸calling_ae == "X"'""", "no attribute `calling_ae`", "`calling_ae_title`"),
        ("' ▸'", "`when` is empty", "Leave `when` out"),
        ("▸~", "`when` is empty", ""),
        ("▸true", "`when` must be a condition", 'quotes: "true"'),
        ("▸[a]", "`when` must be a condition", "a list"),
        ("'▸" + "(" * 40 + "true" + ")" * 40 + "'", "nested too deeply", ""),
    ],
)
def test_a_wrong_condition_is_shown_where_it_stands_in_the_file(condition: str, message: str, hint: str) -> None:
    document, line, column = marked(with_condition(condition))
    found = only(document)
    assert message in found.message
    assert hint in found.hint
    assert (found.line, found.column) == (line, column)


@pytest.mark.parametrize("style", ["|", "|-", ">", ">-", "|2-", ""])
def test_a_condition_in_a_block_is_shown_at_its_own_line(style: str) -> None:
    document, line, column = marked(f"""\
skerry: 1
destinations: [{{name: pacs, kind: folder, path: /x}}]
routes:
  - name: thin
    when: {style}
      Modality == "CT"
      && SliceThickness ▸> 2
    to: [pacs]
""")
    found = only(document)
    assert (found.line, found.column) == (line, column)


def test_every_undeclared_name_of_a_condition_is_told_at_once() -> None:
    diagnostics = check_policy(with_condition("""'Modalty == "CT" || Foo == 1'"""))
    assert [(d.line, d.column) for d in diagnostics] == [(6, 27), (6, 46)]


def test_all_findings_come_in_the_order_of_the_file() -> None:
    wrong = GOOD.replace("to: [pacs]", "to: [pax]").replace("Modality ==", "Modalti ==").replace("[PatientID]", "[X]")
    assert [d.line for d in check_policy(wrong)] == [6, 7, 9]


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("", "the file is empty"),
        ("# only a comment\n", "the file is empty"),
        ("---\n", "a policy is a group of keys, not nothing"),
        ("just text", "a policy is a group of keys, not text"),
        ("[1, 2]", "a policy is a group of keys, not a list"),
        (b"skerry: 1\nrout\xe9s: []", "not UTF-8"),
        ("[" * 5000, "nested too deeply"),
        ("a: " * 5000, ""),
        ("skerry: 1\n" + "# padding\n" * 110_000, "larger than 1048576 bytes"),
        ("x: [" + "1," * 60_000 + "1]", "more than 50000 values"),
    ],
)
def test_a_file_that_is_no_policy_at_all_gets_one_clear_finding(document: str | bytes, message: str) -> None:
    started = time.monotonic()
    assert message in only(document).message
    assert time.monotonic() - started < 5


def test_bytes_that_are_not_utf8_are_shown_by_line_and_column() -> None:
    found = only(b"skerry: 1\n\xc3\xa9 rout\xe9s: []")
    assert (found.line, found.column) == (2, 7)


@pytest.mark.parametrize(
    ("written", "instead", "message"),
    [
        ("routes:", "  - {name: ▸lone, kind: folder, path: /x}\nroutes:", "no route leads to `lone`"),
        ("everything, to: [pacs]}", "▸e, when: 'Modality == \"CT\"', to: [archive, pacs]}", "the same as `all-ct`"),
        ("to: [pacs]}", "to: [pacs, ▸pacs]}", "`pacs` stands twice"),
        ("Modality], pse", "▸PatientID], pse", "in both lists"),
        ("[StudyInstanceUID, Modality]", "▸[Modality]", "which images form a study"),
        ("[StudyInstanceUID, Modality]", "[StudyInstanceUID, ▸StudyInstanceUID]", "stands here twice"),
    ],
)
def test_what_is_doubtful_is_a_warning_and_does_not_stop_the_policy(written: str, instead: str, message: str) -> None:
    document, line, column = marked(GOOD.replace(written, instead))
    found = only(document)
    assert found.severity == "warning"
    assert (found.line, found.column) == (line, column)
    assert message in found.message
    load_policy(document)


def test_a_policy_that_must_not_run_carries_its_findings() -> None:
    with pytest.raises(PolicyError) as caught:
        load_policy(GOOD.replace("to: [pacs]", "to: [pax]").replace("24h", "soon"))
    assert len(caught.value.diagnostics) == 1  # the shape is checked before the meaning
    assert "line 8, column 29" in str(caught.value)
    with pytest.raises(PolicyError, match=r"line 6, column 27: .*\(and 1 more\)"):
        load_policy(GOOD.replace("to: [pacs]", "to: [pax]").replace("Modality ==", "Modalti =="))


def test_findings_are_rendered_like_a_compilers() -> None:
    text = render(check_policy(GOOD.replace("[pacs]", "[pac]")), "policy.yaml")
    assert text == "policy.yaml:7:29: error: there is no destination `pac`\n    Did you mean `pacs`?"
    assert render((), "policy.yaml") == ""


@settings(max_examples=300, deadline=5000)
@given(st.text(max_size=200))
def test_any_text_is_answered_with_findings(text: str) -> None:
    for found in check_policy(text):
        assert found.line >= 1
        assert found.column >= 1


@settings(max_examples=300, deadline=5000)
@given(st.data())
def test_a_good_document_with_any_damage_is_answered_with_findings_inside_it(data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(GOOD)))
    end = data.draw(st.integers(start, min(start + 12, len(GOOD))))
    document = GOOD[:start] + data.draw(st.text("ab:[]{}'\"&*!|>-#\n \t1,", max_size=6)) + GOOD[end:]
    for found in check_policy(document):
        assert 1 <= found.line <= document.count("\n") + 2
    if not any(found.severity == "error" for found in check_policy(document)):
        load_policy(document)


@settings(max_examples=300, deadline=5000)
@given(st.text("Modality=\"'&|()[] .CT12!<>+\\\n", max_size=40))
def test_any_condition_is_compiled_or_answered_with_a_finding(condition: str) -> None:
    escaped = condition.replace("'", "''").replace("\n", "\n\n        ")
    for found in check_policy(with_condition(f"'{escaped}'")):
        assert found.message
