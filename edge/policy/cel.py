"""The only module that knows the CEL engine: compile a condition once, evaluate it many times, never raise a value.

CEL (Common Expression Language) has no side effects, no unbounded loops and no access to the machine: a rule is data.
The engine's C++ expressions are immutable: `Condition.evaluate` may be called from several threads at once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from cel_expr_python import cel

from edge.model import AssociationFacts, TagSet
from edge.policy import pretest
from edge.policy.cel_text import identifiers, presence_tests, regex_literals
from edge.vocabulary import ATTRIBUTES, Kind

SENDER = ("calling_ae_title", "called_ae_title", "peer_address")
AROUND = ("site", "received_day", "received_time")
FACTS = SENDER + AROUND
"""Variables of the association, and of place and time; everything else that a rule can name is an attribute."""

PRESENCE = "present_"
"""`present("Modality")` becomes the variable `present_Modality`, padded to the same width: columns stay true."""

_TYPES: dict[Kind, Any] = {
    "text": cel.Type.STRING,
    "integer": cel.Type.INT,
    "decimal": cel.Type.DOUBLE,
    "texts": cel.Type.List(cel.Type.STRING),
}
_EMPTY: dict[Kind, str | int | float | list[str]] = {"text": "", "integer": 0, "decimal": 0.0, "texts": []}
_KINDS: Mapping[str, pretest.Kind] = {
    **{keyword: attribute.kind for keyword, attribute in ATTRIBUTES.items()},
    **dict.fromkeys(FACTS, "text"),
    **{PRESENCE + keyword: "presence" for keyword in ATTRIBUTES},
}
_COMPILE_ERROR = re.compile(r"ERROR: <input>:(\d+):(\d+): (.*)")

# The engine's message may quote the value that it failed on, so only these words reach a log or a screen.
_REASONS = (
    ("divide by zero", "it divides by zero"),
    ("modulus by zero", "it divides by zero"),
    ("regular expression", "its regular expression is not valid"),
    ("index", "it asks for a list element that is not there"),
    ("budget", "it needs too many steps"),
    ("overflow", "a number is too large"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One complaint of the compiler, at a place in the condition's own text (from 1)."""

    line: int
    column: int
    message: str


class DoesNotCompile(Exception):
    """The condition is not a valid CEL expression over the known variables."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__(faults[0].message)
        self.faults = tuple(faults)


class EvaluationFailed(Exception):
    """The condition could not be evaluated for this instance; the text says why and holds no value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """A compiled condition and the names that it reads."""

    text: str
    attributes: tuple[str, ...]
    """Keywords whose value the condition reads."""
    tested: tuple[str, ...]
    """Keywords that it asks `present(...)` of."""
    facts: tuple[str, ...]
    repeatable: bool
    """Whether equal inputs give the same result: 0.0 and -0.0 are equal, and a rule can tell them apart."""
    program: Any = field(compare=False, repr=False)
    ruled_out: pretest.Test | None = field(default=None, compare=False, repr=False)
    """Whether the condition is certainly false, from what `view` gives; None when that cannot be told cheaply."""

    def inputs(self, facts: AssociationFacts, tags: TagSet) -> tuple[object, ...]:
        """All that the result follows from."""
        values = tags.values
        return (
            *[getattr(facts, name) for name in self.facts],
            *[values.get(keyword) for keyword in self.attributes],
            *[keyword in values for keyword in self.tested],
        )

    def evaluate(self, facts: AssociationFacts, tags: TagSet) -> bool:
        """Tell whether the condition holds. Raises EvaluationFailed, and nothing else."""
        try:
            value = self.program.eval(data=self._bind(facts, tags)).value()
        except Exception as error:  # the engine raises RuntimeError, TypeError, UnicodeEncodeError, SystemError
            raise EvaluationFailed(_plain_reason(str(error))) from None
        if value is True or value is False:
            return value
        raise EvaluationFailed(_plain_reason(str(value)))  # the value of a failed evaluation is its message

    def _bind(self, facts: AssociationFacts, tags: TagSet) -> dict[str, object]:
        # Only what the rule reads: binding all attributes would cost ten times the evaluation.
        data: dict[str, object] = {name: getattr(facts, name) for name in self.facts}
        for keyword in self.attributes:
            value = tags.values.get(keyword)
            if value is None:
                data[keyword] = _EMPTY[ATTRIBUTES[keyword].kind]
            else:
                data[keyword] = list(value) if isinstance(value, tuple) else value
        for keyword in self.tested:
            data[PRESENCE + keyword] = keyword in tags.values
        return data


def compile_condition(text: str) -> Condition:
    """Compile a condition that gives true or false. Raises DoesNotCompile with every fault and its place."""
    tests = presence_tests(text)
    unknown = [t for t in tests if t.keyword not in ATTRIBUTES]
    if unknown:
        raise DoesNotCompile([Fault(line=t.line, column=t.column, message=_bad_test(t.keyword)) for t in unknown])
    source = text
    for test in tests:
        source = source[: test.start] + test.padded(PRESENCE + str(test.keyword)) + source[test.end :]
    program = _compile(source)
    result = program.return_type()
    if result != cel.Type.BOOL:
        raise DoesNotCompile([Fault(line=1, column=1, message=f"gives {result.name()}")])
    _check_regexes(text)
    used = identifiers(source)
    attributes = tuple(k for k in ATTRIBUTES if k in used)
    return Condition(
        text=text,
        attributes=attributes,
        tested=tuple(k for k in ATTRIBUTES if PRESENCE + k in used),
        facts=tuple(f for f in FACTS if f in used),
        repeatable=all(ATTRIBUTES[k].kind != "decimal" for k in attributes),
        program=program,
        ruled_out=pretest.pretest(source, _KINDS),
    )


def view(
    facts: AssociationFacts, tags: TagSet, attributes: Sequence[str], tested: Sequence[str]
) -> pretest.Seen | None:
    """What conditions see of these names; None when a value is of no kind that the engine takes for its attribute."""
    values, fits = tags.values, pretest.fits
    seen: dict[str, object] = {name: getattr(facts, name) for name in FACTS}
    if not all(fits(value, "text") for value in seen.values()):
        return None
    for keyword in attributes:
        value = values.get(keyword)
        kind = ATTRIBUTES[keyword].kind
        if value is None:
            seen[keyword] = () if kind == "texts" else _EMPTY[kind]
        elif fits(value, kind):
            seen[keyword] = value
        else:
            return None
    for keyword in tested:
        seen[PRESENCE + keyword] = keyword in values
    return seen


def _compile(source: str) -> Any:
    try:
        return _environment().compile(source)
    except Exception as error:
        found = _COMPILE_ERROR.findall(str(error))
        faults = [Fault(line=int(line), column=int(column), message=text) for line, column, text in found]
        if not faults:
            words = "nested too deeply" if "recursion" in str(error) else "not a CEL expression"
            faults = [Fault(line=1, column=1, message=words)]
        raise DoesNotCompile(faults) from None


def _bad_test(keyword: str | None) -> str:
    if keyword is None:
        return "present() takes the name of one attribute in quotes"
    return f"undeclared reference to '{keyword}'"


def _check_regexes(text: str) -> None:
    # matches() looks at its pattern only when it runs, and only when it is reached: try every literal one now.
    for literal in regex_literals(text):
        result = _environment().compile(f'"".matches({literal.source})').eval(data={})
        if result.type() != cel.Type.BOOL:
            reason = str(result.value()).partition("regular expression: ")[2] or "cannot be used"
            message = f"invalid regular expression: {reason}"
            raise DoesNotCompile([Fault(line=literal.line, column=literal.column, message=message)])


@cache
def _environment() -> Any:
    variables: dict[str, Any] = {keyword: _TYPES[attribute.kind] for keyword, attribute in ATTRIBUTES.items()}
    variables |= {PRESENCE + keyword: cel.Type.BOOL for keyword in ATTRIBUTES}
    variables |= dict.fromkeys(FACTS, cel.Type.STRING)
    return cel.NewEnv(variables=variables)


def _plain_reason(engine_message: str) -> str:
    lowered = engine_message.lower()
    return next((words for mark, words in _REASONS if mark in lowered), "it cannot be evaluated with these values")


def variables() -> Mapping[str, str]:
    """Every name that a condition may use, with the kind of its value in plain words."""
    words = {"text": "text", "integer": "whole number", "decimal": "decimal number", "texts": "list of texts"}
    return dict.fromkeys(FACTS, "text") | {k: words[a.kind] for k, a in ATTRIBUTES.items()}
