"""The signed policies on this node's disk: the active one, the two before it, and the one that was refused.

    DATA_DIR/policy/active.bundle        what runs; always complete, old or new
    DATA_DIR/policy/previous-1.bundle    what ran before
    DATA_DIR/policy/previous-2.bundle
    DATA_DIR/policy/candidate.bundle     came with the enrolment, not tried yet
    DATA_DIR/policy/rejected.json        the last one that must not run here, and why

A node starts from here, never from the network. The signature is checked on every load, so a file that was damaged,
edited or copied from another site is passed over for the one before it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import structlog
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from google.protobuf.message import DecodeError

from edge.durable import publish, write_durably
from edge.errors import PolicySignatureInvalid
from mesh.signing import policy_payload
from mesh.v1.common_pb2 import PolicyBundle

log = structlog.get_logger(__name__)

GENERATIONS = ("active", "previous-1", "previous-2")


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Place:
    """A policy's place in the order: a higher generation wins, then a higher version."""

    generation: int
    version: int

    def __str__(self) -> str:
        return f"{self.generation}.{self.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPolicy:
    """A policy from this disk whose signature is good."""

    bundle: PolicyBundle
    file: str
    """`active`, `previous-1` or `previous-2`."""
    passed_over: tuple[str, ...]
    """Newer files that could not be used, for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """A policy that this node was offered and must not run."""

    place: Place
    sha256: str
    error: str


def fingerprint(bundle: PolicyBundle) -> str:
    """What a refusal is remembered by: everything in it, so that the same text with a mended signature is tried."""
    return hashlib.sha256(bundle.SerializeToString(deterministic=True)).hexdigest()


def rejection_of(bundle: PolicyBundle, error: str) -> Rejection:
    """The refusal of one bundle, to be remembered."""
    return Rejection(place=place_of(bundle), sha256=fingerprint(bundle), error=error)


def place_of(bundle: PolicyBundle) -> Place:
    """The bundle's place in the order."""
    return Place(generation=bundle.version.generation, version=bundle.version.version)


def policy_label(bundle: PolicyBundle) -> str:
    """`<generation>.<version>`: what a decision is labelled with."""
    return str(place_of(bundle))


class PolicyStore:
    """The policies of one node on its disk. One process writes at a time: the node's link, or its enrolment."""

    def __init__(self, data_dir: Path, *, site: str, public_key: bytes) -> None:
        self._folder = data_dir / "policy"
        self._site = site
        self._key = Ed25519PublicKey.from_public_bytes(public_key)
        self._folder.mkdir(parents=True, exist_ok=True)

    def verify(self, bundle: PolicyBundle) -> None:
        """Return only when `bundle` is what this mesh signed for this site.

        Raises:
            PolicySignatureInvalid: another site's, another mesh's, or altered.
        """
        if bundle.site != self._site:
            raise PolicySignatureInvalid(
                f"The policy is signed for site {bundle.site!r}, but this node belongs to {self._site!r}.",
                hint="Publish it for this node's site.",
            )
        digest = hashlib.sha256(bundle.document).digest()
        if digest != bundle.sha256:
            raise PolicySignatureInvalid("The policy's text is not the text that was signed.")
        place = place_of(bundle)
        payload = policy_payload(site=bundle.site, generation=place.generation, version=place.version, sha256=digest)
        try:
            self._key.verify(bundle.signature, payload)
        except InvalidSignature as error:
            raise PolicySignatureInvalid(
                "The policy's signature is not of the key that this node pinned when it was enrolled."
            ) from error

    def load(self) -> StoredPolicy | None:
        """The newest policy on this disk whose signature is good, or None. Says loudly what it passed over."""
        stored = next(self.good(), None)
        if stored is not None and stored.passed_over:
            log.error("policy.fallback", running=stored.file, passed_over=stored.passed_over)
        return stored

    def good(self) -> Iterator[StoredPolicy]:
        """Every policy on this disk whose signature is good, newest first."""
        passed_over: list[str] = []
        for file in GENERATIONS:
            bundle, trouble = self._read(file)
            if trouble:
                passed_over.append(trouble)
            if bundle is not None:
                yield StoredPolicy(bundle=bundle, file=file, passed_over=tuple(passed_over))
        if passed_over:
            log.error("policy.damaged", files=passed_over)

    def _read(self, file: str) -> tuple[PolicyBundle | None, str]:
        try:
            bundle = PolicyBundle.FromString(self._path(file).read_bytes())
            self.verify(bundle)
        except FileNotFoundError:
            return None, ""
        except (OSError, DecodeError, PolicySignatureInvalid) as error:
            return None, f"{file}: {error}"
        return bundle, ""

    def activate(self, bundle: PolicyBundle) -> None:
        """Make `bundle` the one that the next start runs. Old or new is complete on the disk at every moment.

        Does not decide whether it may run: the node has applied it already.

        Raises:
            PolicySignatureInvalid: it is not this mesh's policy for this site.
            OSError: the disk did not take it; the one before stays.
        """
        self.verify(bundle)
        current, _ = self._read("active")
        if current is not None and current != bundle:
            self._keep(current)
        write_durably(self._path("active"), bundle.SerializeToString())

    def _keep(self, current: PolicyBundle) -> None:
        # A damaged file is never rotated: it would push a good one out.
        before, _ = self._read("previous-1")
        if before is not None and before != current:
            publish(self._path("previous-1"), self._path("previous-2"))
        write_durably(self._path("previous-1"), current.SerializeToString())

    def put_candidate(self, bundle: PolicyBundle) -> None:
        """Keep the policy that came with the enrolment until the link tries it."""
        write_durably(self._path("candidate"), bundle.SerializeToString())

    def take_candidate(self) -> PolicyBundle | None:
        """The kept candidate, once: one that brings the process down must not do so at every start."""
        path = self._path("candidate")
        try:
            content = path.read_bytes()
            path.unlink()
            return PolicyBundle.FromString(content)
        except FileNotFoundError:
            return None
        except (OSError, DecodeError) as error:
            log.warning("policy.candidate-unreadable", error=str(error))
            return None

    def remember(self, rejection: Rejection) -> None:
        """Keep the last policy that must not run here, and why, over restarts."""
        facts = {
            "generation": rejection.place.generation,
            "version": rejection.place.version,
            "sha256": rejection.sha256,
            "error": rejection.error,
        }
        write_durably(self._folder / "rejected.json", json.dumps(facts, indent=2).encode())

    def rejected(self) -> Rejection | None:
        """The last policy that was refused here, or None. An unreadable note only means one more try."""
        try:
            facts = json.loads((self._folder / "rejected.json").read_bytes())
            place = Place(generation=int(facts["generation"]), version=int(facts["version"]))
            return Rejection(place=place, sha256=str(facts["sha256"]), error=str(facts["error"]))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning("policy.rejection-unreadable", error=str(error))
            return None

    def forget_rejection(self) -> None:
        """Another policy runs: the refused one is history."""
        (self._folder / "rejected.json").unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.bundle"
