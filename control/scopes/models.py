"""The tables of groups and of layers."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from control.db.base import Base, RowId, key_text

ScopeText = key_text(80)


class SiteGroup(Base):
    """Some sites that share a layer."""

    __tablename__ = "site_group"

    name: Mapped[str] = mapped_column(key_text(63), primary_key=True)
    created_at: Mapped[datetime]


class SiteGroupMember(Base):
    """A site of a group."""

    __tablename__ = "site_group_member"

    group_name: Mapped[str] = mapped_column(key_text(63), ForeignKey("site_group.name"), primary_key=True)
    site_id: Mapped[int] = mapped_column(RowId, ForeignKey("site.id"), primary_key=True, index=True)


class PolicyLayer(Base):
    """One uploaded layer document. Never changed, never deleted."""

    __tablename__ = "policy_layer"

    scope: Mapped[str] = mapped_column(ScopeText, primary_key=True)
    """`mesh`, `group/NAME`, `site/NAME` or `node/ID`."""
    version: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    """1, 2, 3 … in each scope."""
    document: Mapped[bytes] = mapped_column(LargeBinary)
    sha256: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime]
    created_by: Mapped[str] = mapped_column(String(128))


class PolicyLayerActive(Base):
    """Which version of a layer counts. One row for each scope with a published layer."""

    __tablename__ = "policy_layer_active"

    scope: Mapped[str] = mapped_column(ScopeText, primary_key=True)
    version: Mapped[int] = mapped_column(BigInteger)
    published_at: Mapped[datetime]
    published_by: Mapped[str] = mapped_column(String(128))
