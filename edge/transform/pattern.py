"""Patterns whose search cannot take long: bounded at check time, for values of a bounded length.

Python's engine backtracks, so what it may have to try is counted before it is let near an image.
"""

from __future__ import annotations

import importlib
import re
from typing import Any

parser: Any = importlib.import_module("re._parser")
"""The engine's own reading of a pattern; whether its types are known depends on what else is checked."""
LONGEST_PATTERN = 200
LONGEST_VALUE = 256
"""Characters of a value that a pattern is applied to; a longer one is refused."""
_MOST_WAYS = 100_000


class BadPattern(Exception):
    """Why a pattern or its replacement cannot be used, in words."""


def compile_pattern(pattern: str, replace: str) -> re.Pattern[str]:
    """The pattern, ready to be used with this replacement. Raises BadPattern."""
    if not pattern or len(pattern) > LONGEST_PATTERN:
        raise BadPattern(f"it must have 1 to {LONGEST_PATTERN} characters")
    try:
        if _ways(parser.parse(pattern)) > _MOST_WAYS:
            raise BadPattern("it has too many repeats and choices one after the other")
        compiled = re.compile(pattern)
        compiled.sub(replace, "")
    except (re.error, IndexError, RecursionError, OverflowError) as error:
        raise BadPattern(f"it is no regular expression: {error}") from None
    return compiled


def _ways(parsed: Any) -> int:
    """In how many ways it can match from one place, at most."""
    ways = 1
    for kind, argument in parsed:
        name = str(kind)
        if name in ("GROUPREF", "GROUPREF_EXISTS"):
            raise BadPattern("a pattern cannot refer back to what it has found")
        if name in ("ASSERT", "ASSERT_NOT"):
            raise BadPattern("a pattern cannot look ahead or behind")
        if name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
            least, most, body = argument
            if _ways(body) > 1:
                raise BadPattern("a repeat cannot hold another repeat or a choice")
            ways *= min(int(most), LONGEST_VALUE) - min(int(least), LONGEST_VALUE) + 1
        elif name == "BRANCH":
            ways *= sum(_ways(one) for one in argument[1])
        elif name == "SUBPATTERN":
            ways *= _ways(argument[-1])
        elif name == "ATOMIC_GROUP":
            ways *= _ways(argument)
    return ways
