"""How a program or a process of a node ends when it cannot go on: one sentence, what to do, and an exit code."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from edge.errors import EdgeError, SettingsError, UnknownInstance


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """What a person is told. Codes: 1 it failed or was found wrong, 2 wrongly asked for, 3 nothing under that name."""

    text: str
    hint: str
    code: int

    def tell(self) -> None:
        """Say it on standard error."""
        print(f"skerry-edge: {self.text}", file=sys.stderr)
        if self.hint:
            print(f"  {self.hint}", file=sys.stderr, flush=True)


def ending_of(error: EdgeError | OSError) -> Ending:
    """The words for an error that the edge, or the operating system, can name."""
    match error:
        case OSError():
            where = f"{error.filename}: " if error.filename else ""
            hint = "Check that the path exists and that this user may write there."
            return Ending(text=f"{where}{error.strerror or error}", hint=hint, code=1)
        case UnknownInstance():
            return Ending(text=str(error), hint=error.hint, code=3)
        case SettingsError():
            return Ending(text=str(error), hint=error.hint, code=2)
        case _:
            return Ending(text=str(error), hint=error.hint, code=1)
