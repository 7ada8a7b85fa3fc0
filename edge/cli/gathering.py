"""What waits for its series or study: in words, and `skerry-edge force` for who will not wait."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from edge.cli.options import DataDir, DryRun, Json
from edge.cli.words import counted, plain


def gathering_words(group: Mapping[str, Any]) -> str:
    """`gathering, 12 images, goes at 14:03:20 when quiet, at 14:33:00 in any case`: by the clock of this machine."""
    images = counted(group["images"], "image")
    announced = group["announced"]
    if announced and announced["missing"]:
        images += f", {announced['missing']} of {announced['named']} announced are missing"
    elif announced:
        images += f", all {announced['named']} announced are here"
    elif group["gaps"]:
        images += ", gaps in their numbers"
    quiet, latest = _hour(group["goes_at"]), _hour(group["goes_at_latest"])
    return f"gathering, {images}, goes at {quiet} when quiet, at {latest} in any case"


def status_lines(groups: list[Mapping[str, Any]]) -> list[str]:
    """A line for each of the first few."""
    lines = []
    for one in groups[:10]:
        lines.append(f"  {one['scope']} {plain(one['uid'])}, route {plain(one['route'])}:")
        lines.append(f"    {gathering_words(one)}")
    if len(groups) > 10:
        lines.append(f"  and {len(groups) - 10} more series and studies gather (`skerry-edge queue --state gathering`)")
    return lines


def force(
    data_dir: DataDir,
    uid: Annotated[str, typer.Argument(help="A study, series or SOP instance UID.")],
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Send what is here of a study or series now, without waiting for the rest. What comes later waits anew."""
    from edge.buffer.hand import Choice
    from edge.buffer.states import DeliveryState
    from edge.cli.hand import hand_of, tell

    choice = Choice(uid=uid, states=(DeliveryState.GATHERING,))
    tell(hand_of(data_dir).release(choice, dry_run=dry_run), "released", dry_run=dry_run, as_json=as_json)


def _hour(moment: str) -> str:
    when = datetime.fromisoformat(moment)
    away = when - datetime.now(UTC)
    return when.astimezone().strftime("%H:%M:%S" if away.days < 1 else "%Y-%m-%d %H:%M:%S")
