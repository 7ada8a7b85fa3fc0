"""Every query of policies."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import cast

from sqlalchemy import Table, and_, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from control.db.upsert import Assignments, Columns, upsert
from control.policies.models import PolicyActive, PolicyAnswer, PolicyRevision
from control.policies.reported import Key, Word
from control.policies.revisions import REFUSED


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


async def keep_answers(tx: AsyncSession, words: Sequence[Word], *, at: datetime) -> None:
    """Put nodes' words on versions in the place of those before. A node has one word on each."""
    rows = [asdict(word) | {"answered_at": at} for word in words]
    await upsert(tx, cast("Table", PolicyAnswer.__table__), rows, _the_new_word)


def _the_new_word(_stands: Columns, comes: Columns) -> Assignments:
    return {name: comes[name] for name in ("site_id", "state", "error", "answered_at")}


async def forget_rejections(tx: AsyncSession, site_id: int, *, generation: int, version: int) -> None:
    """No node of the site has rejected this published version any more, as far as is known."""
    await tx.execute(
        delete(PolicyAnswer).where(
            PolicyAnswer.site_id == site_id,
            PolicyAnswer.generation == generation,
            PolicyAnswer.version == version,
            PolicyAnswer.state.in_(REFUSED),
        )
    )


async def offer_again(tx: AsyncSession, site_id: int, *, at: datetime) -> None:
    """Note that people published what the site shall run already."""
    await tx.execute(update(PolicyActive).where(PolicyActive.site_id == site_id).values(published_at=at))


async def refusers(session: AsyncSession, site_id: int, *, generation: int, version: int) -> set[str]:
    """The nodes that tried this published version and went on without it."""
    query = select(PolicyAnswer.node_id).where(
        PolicyAnswer.site_id == site_id,
        PolicyAnswer.generation == generation,
        PolicyAnswer.version == version,
        PolicyAnswer.state.in_(REFUSED),
    )
    return set((await session.scalars(query)).all())


async def answers_to(session: AsyncSession, keys: Collection[Key]) -> dict[Key, tuple[str, str]]:
    """(state, error) of what nodes said of single versions."""
    answer = PolicyAnswer
    query = select(answer.node_id, answer.generation, answer.version, answer.state, answer.error).where(
        answer.node_id.in_({node_id for node_id, _, _ in keys}),
        answer.version.in_({version for _, _, version in keys}),
    )
    rows = await session.execute(query)
    return {(row[0], row[1], row[2]): (row[3], row[4]) for row in rows}


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
