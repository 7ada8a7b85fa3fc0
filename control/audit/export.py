"""The audit trail as CSV (RFC 4180). Pure."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence

from control.audit.chain import AuditEntry, Summary

COLUMNS = ("sequence", "at", "actor", "action", "object", "site", "before", "after", "previous_hash", "hash")
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""How a cell begins that a spreadsheet would compute."""


def csv_line(cells: Sequence[str]) -> str:
    """One line; a cell that a spreadsheet would take for a formula gets an apostrophe before it."""
    text = io.StringIO()
    csv.writer(text).writerow([f"'{cell}" if cell.startswith(FORMULA) else cell for cell in cells])
    return text.getvalue()


def row_of(entry: AuditEntry) -> Sequence[str]:
    """An entry in the order of the columns."""
    return (
        str(entry.sequence),
        entry.at.isoformat(),
        entry.actor,
        entry.action,
        entry.object,
        entry.site or "",
        _facts(entry.before),
        _facts(entry.after),
        entry.previous_hash,
        entry.hash,
    )


def _facts(facts: Summary | None) -> str:
    return "" if facts is None else json.dumps(dict(facts), sort_keys=True, ensure_ascii=False)
