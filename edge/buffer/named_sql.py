"""Named queries out of an SQL file: `-- name: what for`, then one statement that ends with a semicolon."""

from __future__ import annotations

import re
from importlib import resources

_HEADER = re.compile(r"^-- (?P<name>[a-z_]+): .+$", re.MULTILINE)


def load_queries(file_name: str) -> dict[str, str]:
    """Every query of `edge/buffer/<file_name>` by its name."""
    text = resources.files("edge.buffer").joinpath(file_name).read_text(encoding="utf-8")
    parts = _HEADER.split(text)
    return {name: body.strip().removesuffix(";") for name, body in zip(parts[1::2], parts[2::2], strict=True)}
