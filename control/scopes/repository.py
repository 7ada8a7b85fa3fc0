"""Every query of groups and layers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import delete, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from control.policies.models import PolicyActive, PolicyAnswer, PolicyAssignment, PolicyRevision
from control.scopes.models import PolicyLayer, PolicyLayerActive, SiteGroup, SiteGroupMember

SCOPES_LOCK = 0x53434F50


async def lock(tx: AsyncSession) -> None:
    """Let one change of groups and layers happen at a time. SQLite has one writer anyway."""
    if tx.get_bind().dialect.name == "postgresql":
        await tx.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": SCOPES_LOCK})


async def add_group(tx: AsyncSession, name: str, at: datetime) -> None:
    """A new group without sites."""
    tx.add(SiteGroup(name=name, created_at=at))
    await tx.flush()


async def groups(session: AsyncSession) -> dict[str, list[int]]:
    """Group -> its sites."""
    found: dict[str, list[int]] = {name: [] for name in await session.scalars(select(SiteGroup.name))}
    rows = await session.execute(select(SiteGroupMember.group_name, SiteGroupMember.site_id))
    for name, site_id in rows:
        found[name].append(site_id)
    return {name: sorted(found[name]) for name in sorted(found)}


async def add_member(tx: AsyncSession, name: str, site_id: int) -> None:
    """Put a site into a group; one that is there stays."""
    await tx.merge(SiteGroupMember(group_name=name, site_id=site_id))
    await tx.flush()


async def remove_member(tx: AsyncSession, name: str, site_id: int) -> None:
    """Take a site out of a group."""
    found = (SiteGroupMember.group_name == name) & (SiteGroupMember.site_id == site_id)
    await tx.execute(delete(SiteGroupMember).where(found))


async def newest(session: AsyncSession, scope: str) -> int:
    """The highest version of a scope's layer; 0 when there is none."""
    return await session.scalar(select(func.max(PolicyLayer.version)).where(PolicyLayer.scope == scope)) or 0


async def add_layer(tx: AsyncSession, row: PolicyLayer) -> None:
    """A new document."""
    tx.add(row)
    await tx.flush()


async def layer(session: AsyncSession, scope: str, version: int) -> PolicyLayer | None:
    """One document."""
    return await session.get(PolicyLayer, (scope, version))


async def layers_before(
    session: AsyncSession, scope: str | None, *, before: int | None, limit: int
) -> Sequence[PolicyLayer]:
    """Documents of a scope from the newest back."""
    query = select(PolicyLayer).where(PolicyLayer.scope == scope)
    if before is not None:
        query = query.where(PolicyLayer.version < before)
    return (await session.scalars(query.order_by(PolicyLayer.version.desc()).limit(limit))).all()


async def active_versions(session: AsyncSession) -> dict[str, int]:
    """Scope -> the version that counts."""
    rows = await session.execute(select(PolicyLayerActive.scope, PolicyLayerActive.version))
    return {row.scope: row.version for row in rows}


async def active_documents(session: AsyncSession) -> dict[str, bytes]:
    """Scope -> the document that counts."""
    query = select(PolicyLayer.scope, PolicyLayer.document).join(
        PolicyLayerActive,
        (PolicyLayerActive.scope == PolicyLayer.scope) & (PolicyLayerActive.version == PolicyLayer.version),
    )
    return {row.scope: row.document for row in await session.execute(query)}


async def activate(tx: AsyncSession, scope: str, version: int, *, at: datetime, by: str) -> None:
    """Let another version count."""
    await tx.merge(PolicyLayerActive(scope=scope, version=version, published_at=at, published_by=by))
    await tx.flush()


async def published_at(session: AsyncSession, site_ids: Collection[int]) -> dict[int, datetime]:
    """Since when each site shall run what it shall run."""
    query = select(PolicyActive.site_id, PolicyActive.published_at).where(PolicyActive.site_id.in_(site_ids))
    return {row.site_id: row.published_at for row in await session.execute(query)}


async def assigned_at(session: AsyncSession, site_ids: Collection[int]) -> dict[str, datetime]:
    """The same of nodes with something of their own."""
    query = select(PolicyAssignment.node_id, PolicyAssignment.assigned_at)
    rows = await session.execute(query.where(PolicyAssignment.site_id.in_(site_ids)))
    return {row.node_id: row.assigned_at for row in rows}


async def answers(session: AsyncSession, site_ids: Collection[int]) -> dict[tuple[str, int, int], PolicyAnswer]:
    """(node, generation, version) -> its newest word, of the sites' present policies."""
    rows = await session.scalars(select(PolicyAnswer).where(PolicyAnswer.site_id.in_(site_ids)))
    return {(one.node_id, one.generation, one.version): one for one in rows}


async def documents(session: AsyncSession, wanted: Collection[tuple[int, int]]) -> dict[tuple[int, int], bytes]:
    """(site, version) -> the text."""
    by_site: defaultdict[int, list[int]] = defaultdict(list)
    for site_id, version in wanted:
        by_site[site_id].append(version)
    found = {}
    for site_id, versions in by_site.items():
        query = select(PolicyRevision.version, PolicyRevision.document).where(
            PolicyRevision.site_id == site_id, PolicyRevision.version.in_(versions)
        )
        for version, document in await session.execute(query):
            found[site_id, version] = document
    return found
