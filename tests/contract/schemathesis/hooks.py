"""What a generator of requests cannot know of this API. Loaded by Schemathesis, not by the tests."""

from __future__ import annotations

import uuid
from typing import Any

import schemathesis
from schemathesis import GenerationMode

ENDS_ITSELF = ("/revoke", "/disable", "/end", "/password")


@schemathesis.hook
def before_call(context: Any, case: Any, **_kwargs: Any) -> None:
    """Requests that fit the document shall be ones that can succeed; those that do not fit stay as they are."""
    if case.meta is None or case.meta.generation.mode is not GenerationMode.POSITIVE:
        return
    query, headers = case.query or {}, case.headers or {}
    query.pop("cursor", None)  # opaque: only an answer holds a good one
    for name in list(headers):
        if name.lower() == "if-match":
            del headers[name]  # the same
        elif name.lower() == "idempotency-key":
            headers[name] = uuid.uuid4().hex  # one for each request: another request with it is refused
    if case.path.endswith(ENDS_ITSELF) and case.method.upper() == "POST":
        query["dry_run"] = "true"  # the run would lock itself out
        case.query = query
