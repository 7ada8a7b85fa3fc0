"""One request that may change something: whether it is only tried, and whether it came as far as a commit.

`Database.transaction()` looks here. A trial does the same work in the same transaction, which is rolled back at its
end, so that people see what would be. Whoever does something beside the database (wakes a waiting node, publishes a
nudge) asks `is_trial()` first.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(slots=True, kw_only=True)
class Attempt:
    """What is known of the request under way."""

    trial: bool = False
    commits: int = 0
    """Begun: when the database went away meanwhile, nobody knows whether they happened."""


_NOW: ContextVar[Attempt | None] = ContextVar("skerry_attempt", default=None)


def is_trial() -> bool:
    """Whether what runs now must leave nothing behind."""
    attempt = _NOW.get()
    return attempt is not None and attempt.trial


def note_commit() -> None:
    """A transaction of this request is about to be committed."""
    if (attempt := _NOW.get()) is not None:
        attempt.commits += 1


@contextmanager
def attempted(attempt: Attempt) -> Iterator[None]:
    """Everything inside the block, and every task that it starts, belongs to this attempt."""
    token = _NOW.set(attempt)
    try:
        yield
    finally:
        _NOW.reset(token)
