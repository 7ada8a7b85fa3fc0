"""The demo in a terminal: where to look, what runs, what the centre sees, and what just happened."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from provisioning.demo.narrator import Scene

_LINES = 60
_OTHER_ROWS = 24
_STALE_SECONDS = 5.0


class LiveNarrator:
    """A view that is drawn again with every change."""

    def __init__(self, console: Console) -> None:
        self._lines: deque[str] = deque(maxlen=_LINES)
        self._scene: Scene | None = None
        self._console = console
        self._live = Live(Text("starting ..."), console=console, refresh_per_second=4, get_renderable=self._draw)

    def happened(self, what: str) -> None:
        """A line at the end of the list."""
        self._lines.append(f"{time.strftime('%H:%M:%S')}  {what}")

    def show(self, scene: Scene) -> None:
        """Draw this from now on."""
        self._scene = scene

    def _draw(self) -> Group:
        room = max(3, min(self._console.height - _OTHER_ROWS, 14))
        lines = list(self._lines)[-room:]
        recent = Panel(
            Text("\n".join(lines) or "starting ...", no_wrap=True, overflow="ellipsis"),
            title="what just happened",
            title_align="left",
        )
        if self._scene is None:
            return Group(recent)
        return Group(_where(self._scene), _programs(self._scene), _fleet(self._scene), _numbers(self._scene), recent)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()


def _where(scene: Scene) -> Panel:
    text = Text.assemble(("open  ", "dim"), (scene.url, "bold"), ("\nlogin ", "dim"), (scene.login, "bold"))
    return Panel(text, title="Skerry, a mesh on this machine", title_align="left", subtitle="Ctrl-C ends everything")


def _programs(scene: Scene) -> Table:
    table = Table(box=None, padding=(0, 2), header_style="dim")
    for column in ("program", "what it is", ""):
        table.add_column(column)
    for name, what, runs in scene.programs:
        table.add_row(name, what, Text("runs", "green") if runs else Text("stopped", "bold red"))
    return table


def _fleet(scene: Scene) -> Panel:
    if scene.fleet_seen_at is None:
        return Panel(Text("not asked yet", "dim"), title="the fleet as the centre sees it", title_align="left")
    age = time.monotonic() - scene.fleet_seen_at
    stale = age > _STALE_SECONDS
    table = Table(box=None, padding=(0, 2), header_style="dim", style="dim" if stale else "")
    for column in ("site", "node", "last word", "policy", "waiting", "parked"):
        table.add_column(column)
    for site in scene.fleet:
        for node in site["nodes"]:
            table.add_row(*_node_row(site, node, age))
    title = "the fleet as the centre sees it"
    return Panel(table, title=f"{title} ({age:.0f} s ago)" if stale else title, title_align="left")


def _node_row(site: Mapping[str, Any], node: Mapping[str, Any], age: float) -> tuple[str, ...]:
    report = node["report"] or {"deliveries_waiting": "", "deliveries_parked": ""}
    last = node["age_seconds"]
    return (
        str(site["site"]),
        str(node["name"]),
        "never" if last is None else f"{last + age:.0f} s ago",
        str(node["policy_state"]),
        str(report["deliveries_waiting"]),
        str(report["deliveries_parked"]),
    )


def _numbers(scene: Scene) -> Text:
    tally = scene.tally
    return Text.assemble(
        ("  sent ", "dim"), (str(tally.sent), "bold"),
        ("   delivered unchanged ", "dim"), (str(tally.delivered), "bold green"),
        ("   in the central search ", "dim"), (str(tally.indexed), "bold cyan"),
        ("   on the way ", "dim"), (str(tally.lost), "bold"),
    )  # fmt: skip
