"""The start page and its files: read once at start, and served with headers that let nothing else run beside them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fastapi import APIRouter, HTTPException, Request, Response

FOLDER = Path(__file__).parent / "static"

MEDIA_TYPES: Mapping[str, str] = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}

CONTENT_SECURITY_POLICY = "; ".join((
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    # A browser that knows it refuses to make markup of a text, whatever a patient is called.
    "require-trusted-types-for 'script'",
))  # fmt: skip

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """One file of the page."""

    content: bytes
    media_type: str
    etag: str


def _read(folder: Path) -> Mapping[str, Asset]:
    files = (path for path in folder.iterdir() if path.suffix in MEDIA_TYPES)
    return {path.name: _asset(path.read_bytes(), MEDIA_TYPES[path.suffix]) for path in files}


def _asset(content: bytes, media_type: str) -> Asset:
    return Asset(content=content, media_type=media_type, etag=f'"{hashlib.sha256(content).hexdigest()[:32]}"')


ASSETS = _read(FOLDER)
"""By file name: a request can name one of these, and no path."""


@router.get("/")
async def start_page(request: Request) -> Response:
    """The start page. It holds no data: whoever opens it logs in first."""
    return _answer(request, ASSETS["index.html"])


@router.get("/static/{name}")
async def static_file(request: Request, name: str) -> Response:
    """A file of the page."""
    asset = ASSETS.get(name)
    if asset is None:
        raise HTTPException(status_code=404, detail="There is no such file.")
    return _answer(request, asset)


def _answer(request: Request, asset: Asset) -> Response:
    headers = {
        "ETag": asset.etag,
        "Cache-Control": "no-cache",  # asked for each time, sent again only when it changed
        "Content-Security-Policy": CONTENT_SECURITY_POLICY,
        "Cross-Origin-Opener-Policy": "same-origin",
    }
    if request.headers.get("if-none-match") == asset.etag:
        return Response(status_code=304, headers=headers)
    return Response(asset.content, media_type=asset.media_type, headers=headers)
