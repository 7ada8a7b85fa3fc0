"""What byte budgets mean, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Sequence

from edge.model import Budget
from edge.policy.meaning_transforms import Report
from edge.policy.schema_budgets import BudgetModel
from edge.policy.wording import nearest

_UNITS = {"KB": 10**3, "MB": 10**6, "GB": 10**9}
LEAST = 50_000
"""Bytes a second. With less, one object of a few megabytes would hold an association open for minutes."""


class Budgets:
    """The budgets of a document, for its destinations to name."""

    def __init__(self, models: Sequence[BudgetModel], report: Report) -> None:
        self._report, self._used = report, set[str]()
        self._known: dict[str, Budget] = {}
        for n, model in enumerate(models):
            rate = int(model.per_second[:-2]) * _UNITS[model.per_second[-2:]]
            if rate < LEAST:
                report.error(("budgets", n, "per_second"), "a budget is at least 50KB in a second", "Give it more.")
            self._known[model.name] = Budget(name=model.name, bytes_per_second=max(rate, LEAST))

    def of(self, index: int, name: str | None) -> Budget | None:
        """The one that a destination names."""
        if name is None:
            return None
        self._used.add(name)
        if name not in self._known:
            meant = nearest(name, list(self._known))
            known = f"Known budgets: {', '.join(self._known)}." if self._known else "The document has no `budgets`."
            hint = f"Did you mean `{meant}`?" if meant else known
            self._report.error(("destinations", index, "budget"), f"there is no budget `{name}`", hint)
        return self._known.get(name)

    def warn_unused(self) -> None:
        """Say which ones no destination names."""
        for n, name in enumerate(self._known):
            if name not in self._used and self._used <= self._known.keys():
                hint = "Name it in a destination's `budget`, or remove it."
                self._report.warn(("budgets", n, "name"), f"no destination has the budget `{name}`", hint)
