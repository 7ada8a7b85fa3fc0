"""What the edge reads of a data set's header. Bytes pass whatever is found here; odd things become flags."""

from __future__ import annotations

from edge.tags.read import read_file_tags, read_tags

__all__ = ["read_file_tags", "read_tags"]
