"""Why something was not decoded although the object may be sound."""

from __future__ import annotations

from edge.errors import EdgeError


class CannotDecode(EdgeError):
    """This node cannot decode it as it is set up now. For a person."""


class DecodeLater(EdgeError):
    """It was not decoded this time."""


class NoRoom(DecodeLater):
    """the disk has no room for its decoded form"""
