"""The rules of enrolment: a token once, a key proved, a certificate in return."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from cryptography.x509 import CertificateSigningRequest
from sqlalchemy.ext.asyncio import AsyncSession

from control.audit.service import AuditService
from control.clock import Clock
from control.db.session import Database
from control.enrolment import repository, tokens
from control.enrolment.approvals import ApprovalService, NewRequest, RequestFacts, RequestState
from control.enrolment.ca import Issued, NodeName, proven_key, read_csr
from control.enrolment.ca_files import MeshKeys
from control.enrolment.models import EnrolmentToken
from control.errors import SettingsError, TokenExpired, TokenRefused, TokenUnknown, TokenUsed, UnknownNode
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
    needs_approval: bool


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
    https_endpoint: str


class EnrolmentService:
    """Tokens out, certificates back."""

    def __init__(
        self,
        database: Database,
        sites: SiteService,
        nodes: NodeService,
        policies: PolicyService,
        approvals: ApprovalService,
        audit: AuditService,
        keys: MeshKeys,
        endpoints: Endpoints,
        clock: Clock,
    ) -> None:
        self._database = database
        self._sites = sites
        self._nodes = nodes
        self._policies = policies
        self._approvals = approvals
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

    async def create_token(
        self, site_name: str, *, actor: str, life: timedelta = TOKEN_LIFE, needs_approval: bool | None = None
    ) -> NewToken:
        """A token for one box of a site. Whether a person approves the box is the site's default, or said here.

        Raises:
            UnknownSite
        """
        drawn = tokens.draw()
        now = self._clock()
        async with self._database.transaction() as tx:
            site = await self._sites.require(tx, site_name)
            waits = site.needs_approval if needs_approval is None else needs_approval
            row = EnrolmentToken(
                id=drawn.id,
                secret_sha256=drawn.digest(),
                site_id=site.id,
                created_at=now,
                created_by=actor,
                expires_at=now + life,
                needs_approval=waits,
            )
            repository.add_token(tx, row)
            await tx.flush()
            await self._audit.record(
                tx,
                actor=actor,
                action="token.create",
                object=f"token:{drawn.id}",
                after={"site": site.name, "expires_at": row.expires_at.isoformat(), "needs_approval": waits},
            )
        text = tokens.write(drawn, endpoint=self._endpoints.https, ca_pin=self._keys.authority.pin)
        return NewToken(text=text, expires_at=row.expires_at, needs_approval=waits)

    async def enrol(
        self, *, token_id: str, token_secret: str, node_name: str, csr_pem: bytes, address: str = ""
    ) -> Enrolled | RequestFacts:
        """Make a box a node, or let it wait for a person. Only a success uses the token up.

        The key that used a token may come with it again, because an answer can get lost: it is the same node.

        Raises:
            TokenMalformed, TokenUnknown, TokenUsed, TokenExpired, InvalidCsr, InvalidName, NameTaken
            EnrolmentRejected, EnrolmentExpired: what became of its waiting.
            NodeRevoked
        """
        drawn = tokens.check(token_id, token_secret)
        csr = read_csr(csr_pem)
        new = NewRequest(name=checked_name(node_name), key_fingerprint=proven_key(csr), address=address)
        async with self._database.transaction() as tx:
            token = await self._token(tx, drawn, new.key_fingerprint)
            site = await self._sites.by_id(tx, token.site_id)
            first = token.used_at is None
            if first:
                token.used_at, token.key_fingerprint = self._clock(), new.key_fingerprint
            if token.needs_approval:
                ask = self._approvals.ask(tx, token, site, new) if first else self._approvals.standing(tx, token, site)
                request = await ask
                if request.state is RequestState.WAITING:
                    return request
                token.node_id = request.id
            admits = first and not token.needs_approval
            issued = await (self._admit(tx, token, site, new, csr) if admits else self._certify(tx, token, site, csr))
            bundle = await self._policies.bundle(tx, site)
        log.info("node.enrolled", node=token.node_id, site=site.name, first=first)
        return Enrolled(
            node_id=token.node_id,
            site=site.name,
            certificate_pem=issued.pem,
            ca_pem=self.ca_pem,
            policy_public_key=self._keys.policy_public_key,
            endpoints=self._endpoints,
            policy=bundle,
        )

    async def _token(self, tx: AsyncSession, drawn: tokens.TokenSecret, key_fingerprint: str) -> EnrolmentToken:
        """The token, when it opens for this key."""
        row = await repository.lock_token(tx, drawn.id)
        # Whoever has the id without the secret learns nothing of the token.
        if row is None or not secrets.compare_digest(row.secret_sha256, drawn.digest()):
            raise TokenUnknown
        if row.used_at is not None and row.key_fingerprint != key_fingerprint:
            raise TokenUsed
        waits = row.used_at is not None and row.needs_approval  # that has an end of its own
        if row.expires_at <= self._clock() and not waits:
            raise TokenExpired if row.used_at is None else TokenUsed
        return row

    async def _admit(
        self,
        tx: AsyncSession,
        token: EnrolmentToken,
        site: SiteFacts,
        new: NewRequest,
        csr: CertificateSigningRequest,
    ) -> Issued:
        """A node that was none, with its first certificate."""
        token.node_id = secrets.token_hex(8)
        issued = self._sign(token, site, csr)
        node = NewNode(
            id=token.node_id, name=new.name, key_fingerprint=new.key_fingerprint, certificate_ends=issued.ends
        )
        await self._nodes.admit(tx, site, node, actor=f"token:{token.id}")
        return issued

    def _sign(self, token: EnrolmentToken, site: SiteFacts, csr: CertificateSigningRequest) -> Issued:
        name = NodeName(mesh=self._keys.authority.mesh, site=site.name, node_id=token.node_id)
        return self._keys.authority.sign_node(csr, name, self._clock())

    async def _certify(
        self, tx: AsyncSession, token: EnrolmentToken, site: SiteFacts, csr: CertificateSigningRequest
    ) -> Issued:
        """A certificate for the key that is bound to the node."""
        try:
            caller = await self._nodes.holder_of_key(tx, token.node_id, proven_key(csr))
        except UnknownNode:  # it has renewed its key since
            raise TokenUsed from None
        issued = self._sign(token, site, csr)
        await self._nodes.replace_key(tx, caller, key_fingerprint=issued.key_fingerprint, certificate_ends=issued.ends)
        return issued

    async def note_refusal(self, token_id: str, error: TokenRefused, *, address: str) -> None:
        """Keep that a token did not open the door. The id is well-formed, or the token were malformed."""
        log.warning("token.refused", address=address, token=token_id, reason=error.code)
        await self._audit.refusal(
            address=address, action="token.refused", object=f"token:{token_id}", reason=error.code
        )

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
        return Renewed(certificate_pem=issued.pem, ca_pem=self.ca_pem, https_endpoint=self._endpoints.https)

    async def recover(self, node_id: str, csr_pem: bytes) -> Renewed:
        """A fresh certificate for a node whose own has ended, for the key that is bound to it: the request proves it.

        Raises:
            InvalidCsr, UnknownNode, NodeRevoked
        """
        csr = read_csr(csr_pem)
        async with self._database.transaction() as tx:
            caller = await self._nodes.holder_of_key(tx, node_id, proven_key(csr))
            name = NodeName(mesh=self._keys.authority.mesh, site=caller.site, node_id=caller.node_id)
            issued = self._keys.authority.sign_node(csr, name, self._clock())
            await self._nodes.replace_key(
                tx, caller, key_fingerprint=issued.key_fingerprint, certificate_ends=issued.ends
            )
        log.warning("node.recovered", node=caller.node_id, site=caller.site)
        return Renewed(certificate_pem=issued.pem, ca_pem=self.ca_pem, https_endpoint=self._endpoints.https)
