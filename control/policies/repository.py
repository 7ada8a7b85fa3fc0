"""Every query of policies."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import and_, delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from control.policies.models import PolicyActive, PolicyAnswer, PolicyRevision


async def next_version(tx: AsyncSession, site_id: int) -> int:
    """The number after the highest one. Lock the site first."""
    highest = await tx.scalar(select(func.max(PolicyRevision.version)).where(PolicyRevision.site_id == site_id))
    return (highest or 0) + 1


async def add_revision(tx: AsyncSession, revision: PolicyRevision) -> None:
    """A new document."""
    tx.add(revision)
    await tx.flush()


async def revision(session: AsyncSession, site_id: int, version: int) -> PolicyRevision | None:
    """One document."""
    return await session.get(PolicyRevision, (site_id, version))


async def revisions_before(
    session: AsyncSession, site_id: int, *, before: int | None, limit: int
) -> Sequence[PolicyRevision]:
    """Documents of a site from the newest back."""
    query = select(PolicyRevision).where(PolicyRevision.site_id == site_id)
    if before is not None:
        query = query.where(PolicyRevision.version < before)
    return (await session.scalars(query.order_by(PolicyRevision.version.desc()).limit(limit))).all()


async def active(session: AsyncSession, site_id: int) -> PolicyActive | None:
    """What a site shall run."""
    return await session.get(PolicyActive, site_id)


async def wanted_of(session: AsyncSession, site_ids: Sequence[int]) -> dict[int, tuple[tuple[int, int], bytes]]:
    """((generation, version), SHA-256 of the text) that some sites shall run, by site id."""
    query = (
        select(PolicyActive.site_id, PolicyActive.generation, PolicyActive.version, PolicyRevision.sha256)
        .join(
            PolicyRevision,
            and_(PolicyRevision.site_id == PolicyActive.site_id, PolicyRevision.version == PolicyActive.version),
        )
        .where(PolicyActive.site_id.in_(site_ids))
    )
    rows = await session.execute(query)
    return {site_id: ((generation, version), sha256) for site_id, generation, version, sha256 in rows}


async def active_places(session: AsyncSession) -> dict[int, tuple[int, int]]:
    """(generation, version) that each site shall run: what the board reads every second."""
    rows = await session.execute(select(PolicyActive.site_id, PolicyActive.generation, PolicyActive.version))
    return {site_id: (generation, version) for site_id, generation, version in rows}


async def activate(
    tx: AsyncSession, site_id: int, *, generation: int, version: int, signature: bytes, at: datetime, by: str
) -> None:
    """Let a site run another version."""
    await tx.merge(
        PolicyActive(
            site_id=site_id,
            generation=generation,
            version=version,
            signature=signature,
            published_at=at,
            published_by=by,
        )
    )
    await tx.flush()


async def keep_answer(tx: AsyncSession, answer: PolicyAnswer) -> None:
    """Put a node's word on a version in the place of the one before."""
    await tx.merge(answer)
    await tx.flush()


async def forget_rejections(tx: AsyncSession, site_id: int, *, generation: int, version: int) -> None:
    """No node of the site has rejected this published version any more, as far as is known."""
    await tx.execute(
        delete(PolicyAnswer).where(
            PolicyAnswer.site_id == site_id,
            PolicyAnswer.generation == generation,
            PolicyAnswer.version == version,
            PolicyAnswer.state == "rejected",
        )
    )


async def answer(session: AsyncSession, node_id: str, *, generation: int, version: int) -> PolicyAnswer | None:
    """What a node said of one published version."""
    return await session.get(PolicyAnswer, (node_id, generation, version))


async def furthest_answer(session: AsyncSession, site_id: int) -> tuple[int, int] | None:
    """The latest (generation, version) that a node of the site ever told of."""
    query = (
        select(PolicyAnswer.generation, PolicyAnswer.version)
        .where(PolicyAnswer.site_id == site_id)
        .order_by(PolicyAnswer.generation.desc(), PolicyAnswer.version.desc())
        .limit(1)
    )
    row = (await session.execute(query)).first()
    return (row.generation, row.version) if row is not None else None


async def answers_of(session: AsyncSession, site_id: int, versions: Sequence[int]) -> Sequence[PolicyAnswer]:
    """What the nodes of a site said of some versions, the newest word last."""
    query = select(PolicyAnswer).where(PolicyAnswer.site_id == site_id, PolicyAnswer.version.in_(versions))
    return (await session.scalars(query.order_by(PolicyAnswer.answered_at))).all()
