"""What a node trusts when it takes up a policy: its site, and the key that signs for it.

Kept beside the policies, apart from the certificate: an identity that is expired, damaged or gone stops the link, and
must never stop the site from running its last good policy.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import structlog

from edge.durable import write_durably
from edge.sync.identity import IdentityDamaged, NodeIdentity, load_identity

log = structlog.get_logger(__name__)
_FILE = "trust.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyTrust:
    """Whose policies may run here."""

    site: str
    public_key: bytes
    """Ed25519, 32 raw bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolment:
    """What this data directory knows of a mesh. Each part can be there without the other."""

    identity: NodeIdentity | None = None
    trust: PolicyTrust | None = None
    trouble: str = ""
    """Why there is no identity although this box was enrolled, in words."""


def load_enrolment(data_dir: Path) -> Enrolment:
    """Whatever can be used of this node's enrolment. Never raises: images do not depend on it."""
    try:
        identity = load_identity(data_dir)
    except IdentityDamaged as error:
        log.error("identity.damaged", error=str(error), hint=error.hint)
        return Enrolment(trust=_remembered(data_dir), trouble=str(error))
    if identity is None:
        trust = _remembered(data_dir)
        gone = "The identity of this node is gone, although it was enrolled." if trust else ""
        return Enrolment(trust=trust, trouble=gone)
    trust = PolicyTrust(site=identity.site, public_key=identity.policy_public_key)
    if trust != _remembered(data_dir):
        _remember(data_dir, trust)
    return Enrolment(identity=identity, trust=trust)


def _remembered(data_dir: Path) -> PolicyTrust | None:
    try:
        facts = json.loads((data_dir / "policy" / _FILE).read_text("utf-8"))
        return PolicyTrust(site=str(facts["site"]), public_key=bytes.fromhex(facts["public_key"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _remember(data_dir: Path, trust: PolicyTrust) -> None:
    folder = data_dir / "policy"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        facts = {"site": trust.site, "public_key": trust.public_key.hex()}
        write_durably(folder / _FILE, json.dumps(facts).encode())
    except OSError as error:
        log.warning("policy.trust_not_saved", error=str(error))
