"""The control plane's REST API, as a person's browser or a script would use it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx2

from provisioning.errors import CommandFailed

_PAGE = 200


class ControlApi:
    """One logged-in session. Survives a restart of the control plane, whose sessions are in its database."""

    def __init__(self, url: str, password_file: Path, *, user: str = "admin") -> None:
        """Log in.

        Raises:
            CommandFailed: the control plane does not let us in, or does not answer.
        """
        # The Origin header says that the request is meant, and not made by somebody else's page.
        self._client = httpx2.Client(base_url=url, timeout=15, headers={"Origin": url}, trust_env=False)
        self.post("/login", {"username": user, "password": password_file.read_text().strip()})

    def get(self, path: str, **query: object) -> Any:
        """What the API answers to GET, decoded."""
        known = {name: str(value) for name, value in query.items() if value is not None}
        return self._answer("GET", path, params=known)

    def post(self, path: str, body: Mapping[str, object]) -> Any:
        """What the API answers to POST, decoded."""
        return self._answer("POST", path, json=dict(body))

    def post_text(self, path: str, text: str) -> Any:
        """What the API answers to a policy document."""
        return self._answer("POST", path, content=text.encode(), headers={"Content-Type": "text/yaml"})

    def every(self, path: str, **query: object) -> Iterator[Mapping[str, Any]]:
        """All items of a list, page after page."""
        cursor: str | None = None
        while True:
            page = self.get(path, limit=_PAGE, cursor=cursor, **query)
            yield from page["items"]
            cursor = page.get("next_cursor")
            if not cursor:
                return

    def _answer(self, method: str, path: str, **options: Any) -> Any:
        try:
            answer = self._client.request(method, f"/api/v1{path}", **options)
        except httpx2.HTTPError as problem:
            raise CommandFailed(f"the control plane does not answer: {problem}", returncode=-1, stderr="") from problem
        if answer.is_error:
            raise CommandFailed(
                f"{method} {path} was answered with {answer.status_code}: {answer.text}",
                returncode=answer.status_code,
                stderr=answer.text,
            )
        return answer.json() if answer.content else None

    def close(self) -> None:
        """Let the connections go."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
