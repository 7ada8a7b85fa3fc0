"""The command line's way to a running control plane: its REST API and nothing else."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import httpx2

from control.errors import ControlError

TIMEOUT_SECONDS = 60.0
FIRST_USER = "admin"


class Unreachable(ControlError):
    """The control plane does not answer."""

    hint = "Check --url (or SKERRY_URL), and that skerry-control runs there."


class Problem(ControlError):
    """The control plane said no."""

    def __init__(self, status: int, document: dict[str, Any]) -> None:
        super().__init__(str(document.get("title") or f"HTTP status {status}"), hint=str(document.get("hint", "")))
        self.status = status
        self.document = document
        self.subject = ""
        """The file that the diagnostics are about, when there is one."""

    @property
    def code(self) -> str:
        """The stable word of the problem document."""
        return str(self.document.get("code", f"HTTP_{self.status}"))


class ApiClient:
    """A logged-in caller. Use it as a context manager."""

    def __init__(
        self, url: str, *, key: str | None, password: str | None, ca_file: Path | None, user: str = FIRST_USER
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.netloc:
            raise Unreachable(f"{url} is not a URL of a control plane.")
        self._user = user
        self._password = password
        headers = {
            "User-Agent": f"skerry-control/{version('skerry')}",
            "Accept": "application/json",
            "Origin": f"{parts.scheme}://{parts.netloc}",
        }
        if key is not None:
            headers["Authorization"] = f"Bearer {key}"
        verify: ssl.SSLContext | bool = ssl.create_default_context(cafile=ca_file) if ca_file else True
        self._http = httpx2.Client(
            base_url=f"{parts.scheme}://{parts.netloc}/api/v1/",
            headers=headers,
            verify=verify,
            timeout=TIMEOUT_SECONDS,
            trust_env=False,
        )

    def __enter__(self) -> Self:
        """Log in, when a password was given."""
        if self._password is not None:
            self.post("login", {"username": self._user, "password": self._password})
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Log out. A session that could not be closed ends by itself."""
        try:
            if self._password is not None and kind is None:
                self.post("logout")
        finally:
            self._http.close()

    def get(self, path: str, **query: object) -> Any:
        """GET."""
        given = {key: str(value) for key, value in query.items() if value is not None}
        return self._ask("GET", path, params=given)

    def text(self, path: str, **query: object) -> str:
        """GET something that is text."""
        return str(self.get(path, **query))

    def post(self, path: str, body: object = None, *, dry_run: bool = False, if_match: str | None = None) -> Any:
        """POST a JSON document, or nothing."""
        more = _conditions(dry_run, if_match)
        if body is not None:
            more["json"] = body
        return self._ask("POST", path, **more)

    def post_yaml(
        self,
        path: str,
        document: bytes,
        *,
        dry_run: bool = False,
        if_match: str | None = None,
        query: Mapping[str, object] | None = None,
    ) -> Any:
        """POST a policy."""
        more = _conditions(dry_run, if_match)
        more["params"] |= {key: value for key, value in (query or {}).items() if value is not None}
        more["headers"]["Content-Type"] = "text/yaml"
        return self._ask("POST", path, content=document, **more)

    def items(self, path: str, **query: object) -> Iterator[Any]:
        """All items of a paged list."""
        cursor: str | None = None
        while True:
            page = self.get(path, cursor=cursor, **query)
            yield from page["items"]
            cursor = page.get("next_cursor")
            if cursor is None:
                return

    def _ask(self, method: str, path: str, **more: Any) -> Any:
        try:
            answer = self._http.request(method, path, **more)
        except httpx2.HTTPError as error:
            raise Unreachable(f"{self._http.base_url.copy_with(path='/')} does not answer: {error}.") from error
        if answer.is_success:
            if answer.headers.get("content-type", "").startswith("text/"):
                return answer.text
            return answer.json() if answer.content else None
        try:
            document = answer.json()
        except ValueError:
            document = {}
        raise Problem(answer.status_code, document if isinstance(document, dict) else {})


def _conditions(dry_run: bool, if_match: str | None) -> dict[str, Any]:
    return {
        "params": {"dry_run": "true"} if dry_run else {},
        "headers": {"If-Match": if_match} if if_match is not None else {},
    }
