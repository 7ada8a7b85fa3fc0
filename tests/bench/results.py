"""What was measured, and whether it is enough: values, bounds, the table and the JSON document."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """What the project asks of a figure."""

    sense: Literal[">=", "<", "<="]
    value: float
    unit: str = "x"
    """`x`: the ratio to the peer counts; else our own figure, in this unit."""

    def holds(self, figure: float) -> bool:
        """Whether the figure is good enough."""
        if self.sense == ">=":
            return figure >= self.value
        return figure < self.value if self.sense == "<" else figure <= self.value

    def __str__(self) -> str:
        return f"{self.sense} {self.value:g} {self.unit}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of the table: a figure of ours, and of a peer where there is one."""

    name: str
    unit: str
    ours: tuple[float, ...] = ()
    peer: tuple[float, ...] = ()
    peer_name: str = ""
    bound: Bound | None = None
    trouble: str = ""
    """Why there are no figures."""
    details: dict[str, object] = field(default_factory=dict)

    @property
    def ratio(self) -> float | None:
        """Median of ours over median of the peer's; more is better for us."""
        if not self.ours or not self.peer or not statistics.median(self.peer):
            return None
        return statistics.median(self.ours) / statistics.median(self.peer)

    @property
    def verdict(self) -> str:
        """`ok`, `short`, `none` when nothing is asked or nothing can be judged, `failed`."""
        if self.trouble:
            return "failed"
        figure = self.ratio if self.bound is None or self.bound.unit == "x" else statistics.median(self.ours)
        if self.bound is None or figure is None:
            return "none"
        return "ok" if self.bound.holds(figure) else "short"

    def as_json(self) -> dict[str, object]:
        """Every single figure, and what follows from them."""
        document = asdict(self)
        document["bound"] = str(self.bound) if self.bound else None
        medians = {
            f"{side}_median": statistics.median(values)
            for side, values in (("ours", self.ours), ("peer", self.peer))
            if values
        }
        return {**document, **medians, "ratio": self.ratio, "verdict": self.verdict}


HEADINGS = ("row", "ours", "peer", "", "unit", "ratio", "spread", "bound", "verdict")


def table(lines: Sequence[Line]) -> str:
    """The lines as text, in columns."""
    cells = [HEADINGS, *(_cells(line) for line in lines)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(HEADINGS))]
    left = {0, 3, 4, 7, 8}
    return "\n".join(
        "  ".join(
            text.ljust(width) if column in left else text.rjust(width)
            for column, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    )


def figure(value: float) -> str:
    """Three digits that count, without exponents."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _cells(line: Line) -> tuple[str, ...]:
    if line.trouble:
        return (line.name, "", "", line.peer_name, line.unit, "", "", str(line.bound or ""), f"failed: {line.trouble}")
    return (
        line.name,
        _median(line.ours),
        _median(line.peer),
        line.peer_name,
        line.unit,
        f"{line.ratio:.2f}" if line.ratio is not None else "",
        _spread(line),
        str(line.bound or ""),
        {"none": "-"}.get(line.verdict, line.verdict),
    )


def _median(values: Sequence[float]) -> str:
    return figure(statistics.median(values)) if values else ""


def _spread(line: Line) -> str:
    """The lowest and the highest ratio of a pair: how far one run may be believed."""
    if len(line.ours) != len(line.peer) or len(line.ours) < 2 or not all(line.peer):
        return ""
    ratios = [ours / peer for ours, peer in zip(line.ours, line.peer, strict=True)]
    return f"{min(ratios):.2f}-{max(ratios):.2f}"
