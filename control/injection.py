"""How a route gets the objects that the composition root built: by their class, through FastAPI."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

from fastapi import FastAPI
from starlette.requests import HTTPConnection

T = TypeVar("T")


class Provisions:
    """One object of each class. Built once at start, read by every request."""

    def __init__(self, *objects: object) -> None:
        self._objects: Mapping[type, object] = {type(one): one for one in objects}

    def get(self, kind: type[T]) -> T:
        """The object of this class.

        Raises:
            LookupError: the composition root forgot it.
        """
        try:
            return cast("T", self._objects[kind])
        except KeyError:
            raise LookupError(f"control.server provides no {kind.__name__}") from None

    def install(self, app: FastAPI) -> None:
        """Make them reachable from the requests of an app."""
        app.state.provisions = self


def provided(kind: type[T]) -> Callable[[HTTPConnection], T]:
    """A FastAPI dependency: `Sites = Annotated[SiteService, Depends(provided(SiteService))]`."""

    def dependency(connection: HTTPConnection) -> T:
        state: Any = connection.app.state
        return cast("Provisions", state.provisions).get(kind)

    return dependency
