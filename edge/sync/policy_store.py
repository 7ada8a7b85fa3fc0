"""The signed policies on this node's disk: the active one, the two before it, and those that were refused.

    DATA_DIR/policy/active.bundle        what runs; always complete, old or new
    DATA_DIR/policy/previous-1.bundle    what ran before, and was committed
    DATA_DIR/policy/previous-2.bundle
    DATA_DIR/policy/candidate.bundle     came with the enrolment, not tried yet
    DATA_DIR/policy/trying.json          what is being loaded (`trial_note.py`)
    DATA_DIR/policy/probation.json       the active one is on probation
    DATA_DIR/policy/rejected.json        those that must not run here, and why (`policy_rejections.py`)

A node starts from here, never from the network. The signature is checked on every load, so a file that was damaged,
edited or copied from another site is passed over for the one before it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import structlog
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from google.protobuf.message import DecodeError

from edge.durable import publish, sync_directory, write_durably
from edge.errors import PolicySignatureInvalid
from edge.sync.policy_place import fingerprint, place_of
from edge.sync.policy_rejections import Rejections
from edge.sync.trial_note import PROBATION, TRYING, Trial, TrialFile
from mesh.signing import policy_payload
from mesh.v1.common_pb2 import PolicyBundle

log = structlog.get_logger(__name__)

GENERATIONS = ("active", "previous-1", "previous-2")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPolicy:
    """A policy from this disk whose signature is good."""

    bundle: PolicyBundle
    file: str
    """`active`, `previous-1` or `previous-2`."""
    passed_over: tuple[str, ...]
    """Newer files that could not be used, for people."""


class PolicyStore:
    """The policies of one node on its disk. One process writes at a time: the node's link, or its enrolment."""

    def __init__(self, data_dir: Path, *, site: str, public_key: bytes) -> None:
        self._folder = data_dir / "policy"
        self._site = site
        self._key = Ed25519PublicKey.from_public_bytes(public_key)
        self._folder.mkdir(parents=True, exist_ok=True)
        self.trying = TrialFile(self._folder / TRYING)
        self.probation = TrialFile(self._folder / PROBATION)
        self.rejections = Rejections(self._folder)

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

    def activate(self, bundle: PolicyBundle, *, trial: Trial | None = None) -> None:
        """Make `bundle` the one that the next start runs. Old or new is complete on the disk at every moment.

        With a `trial` it is on probation until `commit`. Does not decide whether it may run: the node has applied it.

        Raises:
            PolicySignatureInvalid: it is not this mesh's policy for this site.
            OSError: the disk did not take it; the one before stays.
        """
        self.verify(bundle)
        committed = self.on_probation() is None
        if not committed and (fallback := self.fallback()) is not None:
            self.roll_back(fallback)
        if trial is not None:
            self.probation.write(trial)
        current = self.active()
        # What was not committed never becomes a policy to go back to.
        if committed and current is not None and current != bundle:
            self._keep(current)
        write_durably(self._path("active"), bundle.SerializeToString())

    def active(self) -> PolicyBundle | None:
        """The active policy, when it is good."""
        return self._read("active")[0]

    def on_probation(self) -> Trial | None:
        """The trial of the active policy, when it is on one."""
        trial, active = self.probation.read(), self.active()
        return trial if trial is not None and active is not None and fingerprint(active) == trial.fingerprint else None

    def commit(self) -> None:
        """The active policy is no longer on probation."""
        self.probation.end()

    def fallback(self) -> PolicyBundle | None:
        """What ran before the active policy, when there is such a one."""
        active = self.active()
        for file in GENERATIONS[1:]:
            bundle, _ = self._read(file)
            if bundle is not None and bundle != active:
                return bundle
        return None

    def roll_back(self, to: PolicyBundle | None) -> None:
        """Make `to` the active one again instead of the one on probation; with None there is no active one.

        Raises:
            OSError: the disk did not take it; the active one stays, on probation.
        """
        if to is None:
            self._path("active").unlink(missing_ok=True)
            sync_directory(self._folder)
        else:
            write_durably(self._path("active"), to.SerializeToString())
        self.probation.end()

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

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.bundle"
