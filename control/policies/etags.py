"""The state of a site's policies as an ETag, and what If-Match asks of it (RFC 9110, 8.8.3 and 13.1.1)."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncSession

from control.policies import repository
from control.policy_errors import PolicyMoved


async def etag_of(session: AsyncSession, site_id: int) -> str:
    """Changes with each upload and each publication."""
    newest = await repository.next_version(session, site_id) - 1
    active = await repository.active(session, site_id)
    place = f"{active.generation}.{active.version}" if active is not None else "none"
    return f'"{newest}-{place}"'


async def expect(tx: AsyncSession, site_id: int, if_match: str | None) -> None:
    """Let only those pass who know the present state; the site is locked, so it stays so.

    Raises:
        PolicyMoved: somebody was faster.
    """
    if if_match is None or if_match.strip() == "*":
        return
    etag = await etag_of(tx, site_id)
    if etag not in [one.strip() for one in if_match.split(",")]:
        raise PolicyMoved(etag=etag)
