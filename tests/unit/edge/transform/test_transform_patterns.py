"""Patterns that could take long are refused; those that are allowed end soon on the worst of values."""

from __future__ import annotations

import time

import pytest

from edge.transform.pattern import LONGEST_VALUE, BadPattern, compile_pattern


@pytest.mark.parametrize(
    "pattern",
    ["(a+)+", "(a|a)*", "(.*)*x", "(?:a{1,3}){1,9}", ".*.*.*x", "(a)\\1", "(?=a)", "(?<!a)", "a?" * 40, "x" * 201],
)
def test_a_pattern_that_could_take_long_is_refused(pattern: str) -> None:
    with pytest.raises(BadPattern):
        compile_pattern(pattern, "")


@pytest.mark.parametrize("pattern", [".*.*x", "^(.*)\\^(.*)$", ".*?.*?x", "(?:a|aa)" * 16 + "x", "[A-Z]{2}[0-9]+"])
def test_a_pattern_that_is_allowed_ends_soon_on_the_longest_value(pattern: str) -> None:
    compiled = compile_pattern(pattern, "")
    started = time.process_time()
    compiled.sub("", "a" * LONGEST_VALUE)
    assert time.process_time() - started < 5
