"""What the commands print, as text (pure)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def table(rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> str:
    """Rows under headings, for people."""
    headings = [column.rpartition(".")[2] for column in columns]
    lines = [headings, *([_cell(row, column) for column in columns] for row in rows)]
    widths = [max(len(line[at]) for line in lines) for at in range(len(columns))]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)


def _cell(row: dict[str, Any], column: str) -> str:
    value: Any = row
    for step in column.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    match value:
        case bool():
            return "yes" if value else "no"
        case list():
            return ",".join(str(one) for one in value) or "-"
        case None | "":
            return "-"
        case _:
            return str(value)


def findings(found: Sequence[Mapping[str, Any]], name: str) -> str:
    """What is wrong or odd in a document, one finding and perhaps a hint each, as the edge says it.

    Of layers each finding names its layer, and whose policy it concerns.
    """
    lines = []
    for one in found:
        where = one.get("layer") or name
        whom = f" (of {', '.join(one['of'])})" if one.get("of") else ""
        lines.append(f"{where}:{one['line']}:{one['column']}: {one['severity']}: {one['message']}{whom}")
        if one["hint"]:
            lines.append(f"    {one['hint']}")
    return "\n".join(lines)


def faults(errors: Sequence[Mapping[str, Any]]) -> list[str]:
    """What is wrong in a request, value by value: `hours: Input should be …`."""
    return [f"{'.'.join(str(step) for step in one['where'][1:]) or 'the request'}: {one['why']}" for one in errors]
