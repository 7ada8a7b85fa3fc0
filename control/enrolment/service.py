"""The rules of enrolment: a token once, a key proved, a certificate in return."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from control.audit.service import AuditService
from control.clock import Clock
from control.db.session import Database
from control.enrolment import repository, tokens
from control.enrolment.ca import NodeName, read_csr
from control.enrolment.ca_files import MeshKeys
from control.enrolment.models import EnrolmentToken
from control.errors import SettingsError, TokenExpired, TokenRefused, TokenUnknown, TokenUsed
from control.names import checked_name
from control.nodes.reports import NodeCaller
from control.nodes.service import NewNode, NodeService
from control.policies.revisions import Bundle
from control.policies.service import PolicyService
from control.sites.service import SiteFacts, SiteService

log = structlog.get_logger(__name__)

TOKEN_LIFE = timedelta(hours=24)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """Where nodes reach this mesh, as HOST:PORT."""

    https: str
    grpc: str
    mqtt: str = ""
    """Empty when the mesh has no broker."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewToken:
    """A token. Its text is shown once and kept nowhere."""

    text: str
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolled:
    """What a box gets for its token."""

    node_id: str
    site: str
    certificate_pem: bytes
    ca_pem: bytes
    policy_public_key: bytes
    endpoints: Endpoints
    policy: Bundle | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewed:
    """A fresh certificate."""

    certificate_pem: bytes
    ca_pem: bytes


class EnrolmentService:
    """Tokens out, certificates back."""

    def __init__(
        self,
        database: Database,
        sites: SiteService,
        nodes: NodeService,
        policies: PolicyService,
        audit: AuditService,
        keys: MeshKeys,
        endpoints: Endpoints,
        clock: Clock,
    ) -> None:
        self._database = database
        self._sites = sites
        self._nodes = nodes
        self._policies = policies
        self._audit = audit
        self._keys = keys
        self._endpoints = endpoints
        self._clock = clock

    @property
    def ca_pem(self) -> bytes:
        """The CA certificate of the mesh."""
        return self._keys.authority.pem

    async def bind_mesh(self) -> None:
        """Make sure that database and keys belong together.

        Raises:
            SettingsError: the database was used with the keys of another mesh.
        """
        pin = self._keys.authority.pin
        async with self._database.transaction() as tx:
            known = await repository.bind_mesh(tx, ca_pin=pin, created_at=self._clock())
        if known != pin:
            raise SettingsError(
                "This database belongs to a mesh with another certificate authority.",
                hint="Put the `ca` folder of that mesh into the data directory, or use another database.",
            )

    async def create_token(self, site_name: str, *, actor: str, life: timedelta = TOKEN_LIFE) -> NewToken:
        """A token for one box of a site.

        Raises:
            UnknownSite
        """
        drawn = tokens.draw()
        now = self._clock()
        async with self._database.transaction() as tx:
            site = await self._sites.require(tx, site_name)
            row = EnrolmentToken(
                id=drawn.id,
                secret_sha256=drawn.digest(),
                site_id=site.id,
                created_at=now,
                created_by=actor,
                expires_at=now + life,
            )
            repository.add_token(tx, row)
            await tx.flush()
            await self._audit.record(
                tx,
                actor=actor,
                action="token.create",
                object=f"token:{drawn.id}",
                after={"site": site.name, "expires_at": row.expires_at.isoformat()},
            )
        text = tokens.write(drawn, endpoint=self._endpoints.https, ca_pin=self._keys.authority.pin)
        return NewToken(text=text, expires_at=row.expires_at)

    async def enrol(self, *, token_id: str, token_secret: str, node_name: str, csr_pem: bytes) -> Enrolled:
        """Make a box a node. Only a success uses the token up.

        Raises:
            TokenMalformed, TokenUnknown, TokenUsed, TokenExpired, InvalidCsr, InvalidName, NameTaken
        """
        drawn = tokens.check(token_id, token_secret)
        csr = read_csr(csr_pem)
        checked_name(node_name)
        now = self._clock()
        async with self._database.transaction() as tx:
            site = await self._consume(tx, drawn, now)
            name = NodeName(mesh=self._keys.authority.mesh, site=site.name, node_id=secrets.token_hex(8))
            issued = self._keys.authority.sign_node(csr, name, now)
            node = NewNode(
                id=name.node_id,
                name=node_name,
                key_fingerprint=issued.key_fingerprint,
                certificate_ends=issued.ends,
            )
            bundle = await self._policies.bundle(tx, site)
            await self._nodes.admit(tx, site, node, actor=f"token:{drawn.id}")
        log.info("node.enrolled", node=name.node_id, site=site.name)
        return Enrolled(
            node_id=name.node_id,
            site=site.name,
            certificate_pem=issued.pem,
            ca_pem=self.ca_pem,
            policy_public_key=self._keys.policy_public_key,
            endpoints=self._endpoints,
            policy=bundle,
        )

    async def note_refusal(self, token_id: str, error: TokenRefused, *, address: str) -> None:
        """Keep that a token did not open the door. The id is well-formed, or the token were malformed."""
        log.warning("token.refused", address=address, token=token_id, reason=error.code)
        await self._audit.refusal(
            address=address, action="token.refused", object=f"token:{token_id}", reason=error.code
        )

    async def _consume(self, tx: AsyncSession, drawn: tokens.TokenSecret, now: datetime) -> SiteFacts:
        used = await repository.consume(tx, token_id=drawn.id, secret_sha256=drawn.digest(), now=now)
        if used is not None:
            return await self._sites.by_id(tx, used.site_id)
        row = await repository.token(tx, drawn.id)
        # Whoever has the id without the secret learns nothing of the token.
        if row is None or not secrets.compare_digest(row.secret_sha256, drawn.digest()):
            raise TokenUnknown
        raise TokenUsed if row.used_at is not None else TokenExpired

    async def renew(self, caller: NodeCaller, csr_pem: bytes) -> Renewed:
        """A fresh certificate for a node that still has a valid one. The key in the request may be a new one.

        Raises:
            InvalidCsr, NodeRevoked
        """
        csr = read_csr(csr_pem)
        name = NodeName(mesh=self._keys.authority.mesh, site=caller.site, node_id=caller.node_id)
        issued = self._keys.authority.sign_node(csr, name, self._clock())
        async with self._database.transaction() as tx:
            await self._nodes.replace_key(
                tx, caller, key_fingerprint=issued.key_fingerprint, certificate_ends=issued.ends
            )
        return Renewed(certificate_pem=issued.pem, ca_pem=self.ca_pem)
