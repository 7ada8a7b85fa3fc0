"""Answers to requests that name an Idempotency-Key, kept so that asking again changes nothing twice.

An answer may hold a fresh secret. It is encrypted with what only the caller has (credential and key), and the row is
found by a hash of the same: the database alone opens none.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import dataclass
from datetime import timedelta

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy.exc import IntegrityError

from control.clock import Clock
from control.db.session import Database
from control.errors import KeyReused, RequestUnderWay
from control.promises import repository
from control.promises.models import KeptAnswer

KEPT_FOR = timedelta(hours=24)
NONCE_BYTES = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What was answered."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A request that may run now."""

    id: str
    key: bytes


class KeptAnswers:
    """Begin, end and repeat requests."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def begin(self, credential: str, key: str, request_sha256: str) -> Claim | Answer:
        """The right to run this request; of one that ran already, its answer.

        Raises:
            KeyReused: another request had this key.
            RequestUnderWay: it has begun, and did not end so that we know.
        """
        claim = Claim(id=_hash("row", credential, key).hex(), key=_hash("seal", credential, key))
        now = self._clock()
        row = KeptAnswer(id=claim.id, request_sha256=request_sha256, begun_at=now)
        try:
            async with self._database.transaction() as tx:
                await repository.forget_old(tx, now - KEPT_FOR)
                repository.add(tx, row)
                await tx.flush()
        except IntegrityError:
            return await self._known(claim, request_sha256)
        return claim

    async def _known(self, claim: Claim, request_sha256: str) -> Answer:
        async with self._database.snapshot() as session:
            row = await repository.by_id(session, claim.id)
        if row is None or (row.request_sha256 == request_sha256 and row.sealed is None):
            raise RequestUnderWay
        if row.request_sha256 != request_sha256 or row.sealed is None:
            raise KeyReused
        nonce, sealed = row.sealed[:NONCE_BYTES], row.sealed[NONCE_BYTES:]
        document = json.loads(AESGCM(claim.key).decrypt(nonce, sealed, claim.id.encode()))
        headers = tuple((name, value) for name, value in document["headers"])
        return Answer(status=document["status"], headers=headers, body=document["body"].encode("latin-1"))

    async def end(self, claim: Claim, answer: Answer) -> None:
        """Keep the answer."""
        document = {
            "status": answer.status,
            "headers": list(answer.headers),
            "body": answer.body.decode("latin-1"),
        }
        nonce = secrets.token_bytes(NONCE_BYTES)
        sealed = nonce + AESGCM(claim.key).encrypt(nonce, json.dumps(document).encode(), claim.id.encode())
        async with self._database.transaction() as tx:
            await repository.seal(tx, claim.id, sealed)

    async def forget(self, claim: Claim) -> None:
        """The request changed nothing: it can come again."""
        async with self._database.transaction() as tx:
            await repository.forget(tx, claim.id)


def _hash(purpose: str, credential: str, key: str) -> bytes:
    digest = hashlib.sha256()
    for part in (purpose, credential, key):
        text = part.encode("utf-8", "surrogatepass")
        digest.update(len(text).to_bytes(4, "big") + text)
    return digest.digest()
