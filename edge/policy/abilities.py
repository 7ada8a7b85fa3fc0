"""What a policy asks of the machine that runs it, and may not find there (pure)."""

from __future__ import annotations

from collections.abc import Iterator

from edge.errors import Diagnostic
from edge.model import Destination, DicomDestination
from edge.policy.itself import node_at
from edge.policy.yaml_text import Node


def check_codecs(root: Node, destinations: tuple[Destination, ...]) -> Iterator[Diagnostic]:
    """A warning for each destination that wants images decompressed, for a machine without the codecs."""
    for index, destination in enumerate(destinations):
        if isinstance(destination, DicomDestination) and destination.decompress:
            place = node_at(root, index, "syntax")
            yield Diagnostic(
                severity="warning",
                line=place.line,
                column=place.column,
                message=f"`{destination.name}` asks to decompress, and this machine has no codecs for JPEG",
                hint="On the node that runs it, install Skerry with `codecs`; without them such images are parked.",
            )
