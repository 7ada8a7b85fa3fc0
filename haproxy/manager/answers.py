"""What the running manager answers on its local socket: one table of commands."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, get_args

from haproxy.errors import SettingsError
from haproxy.manager.interface import PoolsReport, Severity
from haproxy.manager.site import Site
from mesh.pools import State

Answer = Mapping[str, Any]


def facts_of(report: PoolsReport) -> dict[str, Any]:
    """A report as plain facts; `ready` is whether this site's modalities are served."""
    facts = asdict(report)
    severe = any(held.severity is Severity.HIGH for held in report.conditions)
    return {"ready": report.haproxy_running and not severe, **facts}


class Answers:
    """The commands of one manager. Anything that cannot be read is an error that says what is wanted."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._table: Mapping[str, Callable[[Mapping[str, Any]], Answer]] = {
            "status": lambda _request: facts_of(site.report()),
            "look": lambda request: site.progress(str(request["node"])),
            "where": lambda request: site.where(str(request["node"])),
            "weight": self._weight,
            "retry": self._retry,
            **{state: functools.partial(self._state, state) for state in get_args(State)},
        }

    def __call__(self, request: Mapping[str, Any]) -> Answer:
        """The answer to one command.

        Raises:
            HaproxyError: it is refused.
        """
        command = self._table.get(str(request.get("do")))
        if command is None:
            raise SettingsError(f"{request.get('do')!r} is no command", hint=f"Commands are: {', '.join(self._table)}.")
        return command(request)

    def _state(self, state: State, request: Mapping[str, Any]) -> Answer:
        return self._site.say_state(
            str(request["node"]),
            state,
            seconds=_whole(request, "seconds"),
            last=bool(request.get("last")),
            by=str(request.get("by", ""))[:64],
            dry_run=bool(request.get("dry_run")),
        )

    def _weight(self, request: Mapping[str, Any]) -> Answer:
        return self._site.say_weight(
            str(request["node"]),
            _whole(request, "weight"),
            by=str(request.get("by", ""))[:64],
            dry_run=bool(request.get("dry_run")),
        )

    def _retry(self, _request: Mapping[str, Any]) -> Answer:
        self._site.forget_rejections()
        return facts_of(self._site.report())


def _whole(request: Mapping[str, Any], name: str) -> int:
    value = request.get(name, 0)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise SettingsError(f"{name} is to be a whole number, 0 or more, and is {value!r}")
    return value
