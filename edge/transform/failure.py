"""The two ways of saying that a transform cannot be carried out."""

from __future__ import annotations

from edge.errors import EdgeError


class TransformFailed(EdgeError):
    """A transform cannot be carried out; names the transform, the step and the attribute, never a value."""


class Impossible(Exception):
    """Why one step cannot be done to one attribute, in words; never with a value."""

    def __init__(self, why: str, tag: int | None = None) -> None:
        super().__init__(why)
        self.tag = tag
