"""The compiler's complaints in the words of somebody who writes rules, with what to write instead."""

from __future__ import annotations

import re
from difflib import get_close_matches

from edge.policy.cel import Fault, variables

_METHODS = ("startsWith", "endsWith", "contains", "matches", "size", "exists", "exists_one", "all", "filter", "map")
_KINDS = {
    "string": "text",
    "int": "whole number",
    "uint": "unsigned number",
    "double": "decimal number",
    "bool": "true or false",
    "list(string)": "list of texts",
    "null_type": "null",
    "bytes": "bytes",
}
_RESULTS = {"STRING": "a text", "INT": "a whole number", "DOUBLE": "a decimal number", "LIST": "a list"}
_WORD_OPERATORS = {"and": "&&", "or": "||", "not": "!", "AND": "&&", "OR": "||", "NOT": "!"}
_OPERATORS = {"_?_:_": "? :", "@in": "in", "_[_]": "[ ]"}


def nearest(name: str, known: tuple[str, ...] | list[str]) -> str | None:
    """The known name that somebody most likely meant, or None."""
    by_lower = {k.lower(): k for k in known}
    close = get_close_matches(name.lower(), by_lower, n=1, cutoff=0.7)
    return by_lower[close[0]] if close else None


def explain(fault: Fault, source: str) -> tuple[str, str]:
    """Turn one fault into a message and a hint."""
    for pattern, tell in _EXPLANATIONS:
        match = re.match(pattern, fault.message, re.DOTALL)
        if match:
            return tell(match, fault, source)
    return fault.message, "See the examples of conditions in docs/policy.md."


def _undeclared(match: re.Match[str], fault: Fault, source: str) -> tuple[str, str]:
    name = match[1]
    line = (source.splitlines() or [""])[min(fault.line, max(len(source.splitlines()), 1)) - 1]
    is_call = line[fault.column - 1 : fault.column] == "("
    if is_call:
        meant = nearest(name, (*_METHODS, "present"))
        hint = f"Did you mean `{meant}`?" if meant else "Functions: " + ", ".join((*_METHODS, "present")) + "."
        return f"there is no function `{name}`", hint
    meant = nearest(name, list(variables()))
    if meant:
        return f"there is no attribute `{name}`", f"Did you mean `{meant}`?"
    if name in _WORD_OPERATORS:
        return f"`{name}` is not an operator", f"Write `{_WORD_OPERATORS[name]}`."
    quoted = f'If it is meant as text, write it in quotes: "{name}". ' if name.isidentifier() else ""
    return f"there is no attribute `{name}`", f"{quoted}docs/policy.md lists the attributes that a rule may use."


def _kinds(listed: str) -> list[str]:
    parts = [p.strip() for p in re.split(r",\s*(?![^(]*\))", listed)]
    return [_KINDS.get(p, p) for p in parts]


def _overload(match: re.Match[str], _fault: Fault, _source: str) -> tuple[str, str]:
    operator = _OPERATORS.get(match[1], match[1].strip("_"))
    kinds = _kinds(match[2])
    message = f"`{operator}` cannot be applied to {' and '.join(kinds)}"
    pair = set(kinds)
    if pair == {"whole number", "decimal number"}:
        return message, "Write the number for a decimal attribute with a point (2.0), for a whole one without (2)."
    if pair == {"text", "whole number"} or pair == {"text", "decimal number"}:
        return message, "Write text in quotes and numbers without."
    if operator == "in" and pair == {"text"}:
        return message, 'Write the texts to choose from in brackets, as in Modality in ["CT", "MR"].'
    if pair == {"list of texts", "text"}:
        return message, 'For an attribute with several values write "VALUE" in Attribute.'
    if "null" in pair:
        return message, 'To ask whether an attribute has a value write present("Attribute").'
    if operator in {"&&", "||", "!", "? :"}:
        return message, 'Both sides must be true or false: compare first, as in Modality == "CT".'
    return message, "See the table of attributes and their kinds in docs/policy.md."


def _wrong_result(match: re.Match[str], _fault: Fault, _source: str) -> tuple[str, str]:
    kind = _RESULTS.get(match[1], "something else")
    return f"the condition gives {kind}, not true or false", 'Compare it with something, as in Modality == "CT".'


def _syntax(match: re.Match[str], _fault: Fault, source: str) -> tuple[str, str]:
    detail = match[1]
    missing = re.match(r"missing '(.)'", detail)
    if missing:
        return f"a `{missing[1]}` is missing here", "Count the brackets."
    token = re.search(r"(?:input|at:) '(.*?)'(?: expecting|$)", detail, re.DOTALL)
    text = token[1].strip() if token else ""
    if text == "<EOF>":
        return "the condition ends too early", "Something is missing after the last word; is a bracket left open?"
    if text in _WORD_OPERATORS:
        return f"`{text}` is not an operator", f"Write `{_WORD_OPERATORS[text]}`."
    if text in {"=", "&", "|"}:
        return f"`{text}` is not an operator", f"Write `{text}{text}`."
    if text[:1] in {"“", "”", "‘", "’", "„"}:
        return "typographic quotes are not understood", "Write straight quotes: \" or '."
    if text[:1] in {'"', "'"} and "token recognition" in detail:
        return "a text in quotes is not closed, or holds a `\\` that means nothing", (
            "Close the quotes; write a backslash twice, or put r before the quotes."
        )
    if re.match(r"\s*not\b", source):
        return "`not` is not an operator", "Write `!`."
    return f"`{text}` was not expected here" if text else "this is not a CEL expression", (
        "Join comparisons with && and ||; write text in quotes."
    )


def _presence(_match: re.Match[str], _fault: Fault, _source: str) -> tuple[str, str]:
    return "present() takes the name of one attribute in quotes", 'Write present("PatientID").'


def _has(_match: re.Match[str], _fault: Fault, _source: str) -> tuple[str, str]:
    return "has() does not work on attributes", 'Write present("Attribute").'


def _regex(match: re.Match[str], _fault: Fault, _source: str) -> tuple[str, str]:
    return f"this regular expression is not valid: {match[1]}", "Patterns follow RE2 syntax."


def _depth(_match: re.Match[str], _fault: Fault, _source: str) -> tuple[str, str]:
    return "the condition is nested too deeply", "Split it into several routes."


_EXPLANATIONS = (
    (r"undeclared reference to '(.*?)'", _undeclared),
    (r"found no matching overload for '(.*?)' applied to '\((.*)\)'", _overload),
    (r"gives (\w+)", _wrong_result),
    (r"Syntax error: (.*)", _syntax),
    (r"present\(\) takes", _presence),
    (r"has\(\) argument|expression of type .* cannot be the operand of a select", _has),
    (r"invalid regular expression: (.*)", _regex),
    (r"nested too deeply", _depth),
)
