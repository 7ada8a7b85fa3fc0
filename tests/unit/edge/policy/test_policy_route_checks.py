"""What the check says of routes that cannot matter, and of what is too much; each with its place."""

from __future__ import annotations

import pytest

from control.inbox.batch import MOST_IN_AN_EVENT
from edge.policy.document import check_policy
from edge.policy.meaning_routes import MOST_DESTINATIONS, MOST_ROUTES

HEAD = """skerry: 1
destinations:
  - {name: pacs, kind: folder, path: /x}
  - {name: archive, kind: folder, path: /y}
routes:
"""


def found(routes: str) -> list[tuple[str, int, str]]:
    return [(one.severity, one.line, one.message) for one in check_policy(HEAD + routes)]


def route(condition: str) -> str:
    return f"  - {{name: r, to: [pacs, archive], when: '{condition}'}}\n"


@pytest.mark.parametrize(
    "condition",
    ["1 == 2", "false", 'Modality == "CT" && Modality == "MR"', 'Rows > 1 && Modality == "A" && Modality=="B"'],
)
def test_a_condition_that_is_never_true_is_warned_of(condition: str) -> None:
    assert found(route(condition)) == [("warning", 6, "route `r` matches nothing: its condition is never true")]


def test_a_condition_that_is_always_true_is_warned_of() -> None:
    assert found(route("1 < 2")) == [("warning", 6, "the condition of route `r` is always true")]


@pytest.mark.parametrize(
    "condition",
    [
        'Modality == "CT" && Modality == "CT"',
        'Modality == "CT" || Modality == "MR"',
        'Modality == "CT" && Rows > 1 || Modality == "MR" && Modality == "MR"',
        '!(Modality == "CT" && Modality == "MR")',
        "ImageType.exists(t, OperatorsName.exists(o, o == t))",
    ],
)
def test_a_condition_that_can_be_true_is_not_spoken_of(condition: str) -> None:
    assert found(route(condition)) == []


def test_a_condition_with_three_loops_inside_one_another_is_refused() -> None:
    nested = "ImageType.exists(a, ImageType.exists(b, ImageType.exists(c, a + b == c)))"
    assert found(route(nested)) == [
        ("error", 6, "the condition is too expensive: three loops inside one another"),
    ]


def test_a_route_whose_images_all_go_there_anyway_is_warned_of() -> None:
    routes = "  - {name: ct, to: [pacs], when: 'Modality == \"CT\"'}\n  - {name: all, to: [pacs, archive]}\n"
    assert found(routes) == [("warning", 6, "route `ct` changes nothing: `all` already sends all of it there")]


def test_a_route_that_only_makes_more_urgent_is_of_use() -> None:
    routes = (
        "  - {name: ct, to: [pacs], when: 'Modality == \"CT\"', priority: stat}\n  - {name: all, to: [pacs, archive]}\n"
    )
    assert found(routes) == []


def test_more_routes_than_the_control_plane_takes_are_refused() -> None:
    routes = "".join(f"  - {{name: r{n}, to: [pacs, archive], when: 'Rows == {n}'}}\n" for n in range(257))
    assert found(routes) == [("error", 262, "there are 257 routes; at most 256 may be")]
    assert found(routes[: routes.rindex("  - ")]) == []


def test_more_destinations_than_the_control_plane_takes_are_refused() -> None:
    names = [f"d{n}" for n in range(65)]
    listed = "".join(f"  - {{name: {name}, kind: folder, path: /{name}}}\n" for name in names)
    text = f"skerry: 1\ndestinations:\n{listed}routes: [{{name: all, to: [{', '.join(names)}]}}]\n"
    said = [(one.severity, one.line, one.message) for one in check_policy(text)]
    assert said == [("error", 67, "there are 65 destinations; at most 64 may be")]


COMPRESSED = """skerry: 1
destinations:
  - {name: pacs, kind: dicom, host: 10.0.0.5, port: 104, ae_title: PACS}
  - name: workstation
    kind: dicom
    host: 10.0.0.9
    port: 104
    ae_title: WS
    syntax: decompress
routes:
  - {name: all, to: [pacs, workstation]}
"""


def test_a_policy_that_decompresses_is_warned_of_where_the_codecs_are_missing() -> None:
    assert check_policy(COMPRESSED) == ()
    (told,) = check_policy(COMPRESSED, codecs=False)
    assert (told.severity, told.line, told.column) == ("warning", 9, 13)
    assert told.message == "`workstation` asks to decompress, and this machine has no codecs for JPEG"
    assert check_policy(COMPRESSED.replace("decompress", "as_is"), codecs=False) == ()


def test_what_a_policy_may_have_an_event_to_the_centre_can_tell() -> None:
    assert MOST_IN_AN_EVENT["reasons"] >= MOST_ROUTES
    assert MOST_IN_AN_EVENT["destinations"] >= MOST_DESTINATIONS
