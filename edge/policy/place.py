"""Where a place inside a YAML scalar's value stands in the file: line folding, quotes and indentation undone."""

from __future__ import annotations

from edge.policy.yaml_text import Scalar


def place_in_file(text: str, scalar: Scalar, line: int, column: int) -> tuple[int, int]:
    """Map line and column (from 1) of the scalar's value to those of the file.

    Falls back to the scalar's own place when the value cannot be followed character by character (`"\\u00e9"`).
    """
    offset = _value_offset(scalar.text, line, column)
    position = _position(text, scalar, offset)
    if position is None:
        return scalar.line, scalar.column
    return text.count("\n", 0, position) + 1, position - text.rfind("\n", 0, position)


def _value_offset(value: str, line: int, column: int) -> int:
    start = 0
    for _ in range(line - 1):
        following = value.find("\n", start)
        if following < 0:
            break
        start = following + 1
    return min(start + column - 1, len(value))


def _position(text: str, scalar: Scalar, offset: int) -> int | None:
    """Walk value and source side by side; white space may differ in kind and amount, nothing else may."""
    position = scalar.start
    if scalar.style in {"|", ">"}:
        position = text.find("\n", scalar.start) + 1
    elif scalar.style in {"'", '"'}:
        position += 1
    last = position
    for index, character in enumerate(scalar.text):
        if character.isspace():
            if index == offset:
                return last
            if position < scalar.end and text[position] == character != "\n":
                position += 1
                last = position
            continue
        while position < scalar.end and text[position].isspace():
            position += 1
        if scalar.style == '"' and text[position : position + 1] == "\\":
            position += 1
        if position >= scalar.end or text[position] != character:
            return None
        if index == offset:
            return position
        position += 2 if scalar.style == "'" and character == "'" else 1
        last = position
    return last
