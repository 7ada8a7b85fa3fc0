"""What a route's `wait` means, and which times make no sense (pure)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from edge.model import Wait
from edge.policy.meaning_retention import Report
from edge.policy.model import Route
from edge.policy.schema_waiting import WaitModel

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_LONGEST = timedelta(days=7)
MISSING = timedelta(minutes=10)
"""How long images that were announced are waited for when the policy says nothing of it."""


def wait_of(index: int, route: str, model: WaitModel | None, report: Report) -> Wait | None:
    """What the route waits for; None when it does not."""
    if model is None:
        return None
    quiet, at_most = _duration(index, "quiet", model.quiet, report), _duration(index, "at_most", model.at_most, report)
    if at_most < quiet:
        message = f"`at_most`, {model.at_most}, is shorter than `quiet`, {model.quiet}"
        key = "at_most" if "at_most" in model.model_fields_set else "quiet"
        report.error(("routes", index, "wait", key), message, "Write a longer `at_most`, or a shorter `quiet`.")
    missing = _missing(index, model, quiet, report)
    return Wait(route=route, scope=model.scope, quiet=quiet, at_most=at_most, missing=missing)


def warn_useless_waits(routes: Sequence[Route], report: Report) -> None:
    """Tell of routes whose images another route sends to the same places at once."""
    for index, route in enumerate(routes):
        if route.wait is None:
            continue
        text = (route.when or "").strip()
        hasty = [one for one in routes if one.wait is None and (one.when or "").strip() in {"", text}]
        if set(route.to) <= {name for one in hasty for name in one.to}:
            names = ", ".join(f"`{one.name}`" for one in hasty if set(one.to) & set(route.to))
            message = f"route `{route.name}` waits for nothing: {names} sends all of it there at once"
            report.warn(("routes", index, "wait"), message, f"Let {names} wait too, or narrow it with `when`.")


def _missing(index: int, model: WaitModel, quiet: timedelta, report: Report) -> timedelta:
    """Unless it is written, what is longer: `quiet`, or ten minutes."""
    if model.missing is None:
        return max(quiet, MISSING)
    missing = _duration(index, "missing", model.missing, report)
    if missing < quiet:
        message = f"`missing`, {model.missing}, is shorter than `quiet`, {model.quiet}"
        report.error(("routes", index, "wait", "missing"), message, "Write a longer `missing`, or leave it out.")
    return missing


def _duration(index: int, key: str, written: str, report: Report) -> timedelta:
    duration = timedelta(**{_UNITS[written[-1]]: int(written[:-1])})
    path = ("routes", index, "wait", key)
    if not duration:
        report.error(path, f"`{key}` must be at least 1s", "Leave `wait` out to send each image at once.")
    if duration > _LONGEST:
        report.error(path, f"`{key}` must be at most 7d", "Images that wait so long are missed at their destination.")
    return duration
