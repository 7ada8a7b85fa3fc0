"""How long delivered instances stay, and how full the disk may become (pure)."""

from __future__ import annotations

from datetime import timedelta
from typing import Protocol

from edge.policy.schema import RetentionModel
from edge.watermarks import Watermarks

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_LONGEST = timedelta(days=3650)
_LOWER = 10
"""How far below the high mark the low one is when it is not given."""
Path = tuple[str | int, ...]


class Report(Protocol):
    """Takes findings, at the place of a path in the document."""

    def error(self, path: Path, message: str, hint: str = "") -> None:
        """What must not run."""

    def warn(self, path: Path, message: str, hint: str = "") -> None:
        """What is odd."""


def retention_of(model: RetentionModel, report: Report) -> tuple[timedelta, Watermarks | None]:
    """How long what is delivered stays when there is room, and when it leaves before."""
    kept = _duration("keep_delivered", model.keep_delivered, report)
    marks = _watermarks(model, report)
    if model.keep_recent is not None:
        recent = _duration("keep_recent", model.keep_recent, report)
        path: Path = ("retention", "keep_recent")
        if marks is None:
            hint = "Add `high_water: 80%`, or write the time as `keep_delivered`."
            report.error(path, "`keep_recent` needs `high_water`: it holds as long as there is room", hint)
        elif recent <= kept:
            report.warn(path, "`keep_recent` is not longer than `keep_delivered`, so it changes nothing", "Remove it.")
        kept = max(kept, recent)
    return kept, marks


def _watermarks(model: RetentionModel, report: Report) -> Watermarks | None:
    if model.high_water is None:
        if model.low_water is not None:
            hint = "Add `high_water`, such as 80%, or remove it."
            report.error(("retention", "low_water"), "`low_water` needs `high_water`", hint)
        return None
    high = int(model.high_water[:-1])
    low = int(model.low_water[:-1]) if model.low_water is not None else max(1, high - _LOWER)
    if low >= high:
        message = f"`low_water` must be below `high_water`, {model.high_water}"
        report.error(("retention", "low_water"), message, f"Write {max(1, high - _LOWER)}%, for example.")
    return Watermarks(high=high, low=low)


def _duration(key: str, written: str, report: Report) -> timedelta:
    duration = timedelta(**{_UNITS[written[-1]]: int(written[:-1])})
    if duration > _LONGEST:
        report.error(("retention", key), f"`{key}` must be at most 3650d", "Delivered instances are also at the PACS.")
    return duration
