"""The table of answers that are kept for whoever has to ask again."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from control.db.base import Base


class KeptAnswer(Base):
    """One request that named an Idempotency-Key. What opens the answer is not kept: it may hold a secret."""

    __tablename__ = "kept_answer"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    """Made of the caller's credential and the key, by SHA-256."""
    request_sha256: Mapped[str] = mapped_column(String(64))
    begun_at: Mapped[datetime] = mapped_column(index=True)
    sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    """Status, type and body, encrypted (AES-GCM); null while the request is under way."""
