"""What the commands print."""

from __future__ import annotations

from control.words import faults, findings, table


def test_a_table_says_yes_and_no() -> None:
    rows = [{"version": 2, "active": True, "nodes": []}, {"version": 1, "active": False, "nodes": ["a:applied"]}]
    assert table(rows, ("version", "active", "nodes")).splitlines() == [
        "version  active  nodes",
        "2        yes     -",
        "1        no      a:applied",
    ]


def test_findings_have_the_hint_on_a_line_of_its_own() -> None:
    found = [
        {"line": 6, "column": 11, "severity": "error", "message": "no", "hint": "do"},
        {"line": 7, "column": 1, "severity": "warning", "message": "odd", "hint": ""},
    ]
    assert findings(found, "a.yaml").splitlines() == ["a.yaml:6:11: error: no", "    do", "a.yaml:7:1: warning: odd"]


def test_faults_of_a_request_name_the_value() -> None:
    errors = [{"where": ["query", "limit"], "why": "too small"}, {"where": ["body"], "why": "missing"}]
    assert faults(errors) == ["limit: too small", "the request: missing"]
