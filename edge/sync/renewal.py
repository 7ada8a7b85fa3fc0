"""The renewal duty: a new key and certificate, proven over a connection of its own before the old ones go."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import structlog
from cryptography.x509 import load_pem_x509_certificate

from edge.errors import UplinkError
from edge.sync import conditions
from edge.sync.backoff import spread
from edge.sync.conditions import LinkHealth
from edge.sync.identity import NodeIdentity, adopt_identity, key_matches, new_key, write_identity
from edge.sync.recover import recover
from edge.sync.uplink import Connect, Uplink
from mesh.v1.enrolment_pb2 import RenewResponse
from mesh.v1.sync_pb2 import PullPolicyRequest

log = structlog.get_logger(__name__)

TRY_AGAIN_SECONDS = 3600.0
LOOK_AT_MOST_EVERY_SECONDS = 3600.0


class RenewCertificate:
    """One duty of the link. Renews after a third of the certificate's life; the data path never looks at it."""

    name = "renewal"

    def __init__(
        self,
        *,
        data_dir: Path,
        identity: NodeIdentity,
        uplink: Uplink,
        connect: Connect,
        adopt: Callable[[NodeIdentity, Uplink], None],
        health: LinkHealth,
        now: Callable[[], datetime],
        chance: Callable[[], float],
        monotonic: Callable[[], float] = time.monotonic,
        recover: Callable[[NodeIdentity], RenewResponse] = recover,
    ) -> None:
        self._recover = recover
        self._data_dir = data_dir
        self._identity = identity
        self._uplink = uplink
        self._connect = connect
        self._adopt = adopt
        self._health = health
        self._now = now
        self._chance = chance
        self._monotonic = monotonic
        self._not_before = 0.0
        """After a candidate that did not work: being woken does not make the next one work."""

    def step(self) -> float:
        """Renew when it is time; say how long to wait. Raises UplinkError when the centre did not answer."""
        self._warn_when_late()
        wait = max((self._identity.renew_at() - self._now()).total_seconds(), self._not_before - self._monotonic())
        if wait > 0:
            # Looked at every hour at least: a wait of ten days would not see the clock being set.
            return min(wait + 60 * self._chance(), LOOK_AT_MOST_EVERY_SECONDS)
        key_pem, answer = self._ask()
        if not self._usable(key_pem, answer.certificate_pem):
            return self._failed("it is not for this node's key, or not longer valid than the old one")
        candidate = self._identity.renewed(
            key_pem=key_pem,
            certificate_pem=answer.certificate_pem,
            ca_pem=answer.ca_pem,
            https_endpoint=answer.https_endpoint,
        )
        return self._prove(candidate)

    def _ask(self) -> tuple[bytes, RenewResponse]:
        """A certificate for a new key over the link; once the old one has ended, for the bound key beside it."""
        if self._now() > self._identity.valid_until and self._identity.https_endpoint:
            return self._identity.key_pem, self._recover(self._identity)
        key_pem, csr_pem = new_key()
        return key_pem, self._uplink.renew(csr_pem)

    def _usable(self, key_pem: bytes, certificate_pem: bytes) -> bool:
        if not key_matches(key_pem, certificate_pem):
            return False
        return load_pem_x509_certificate(certificate_pem).not_valid_after_utc > self._identity.valid_until

    def _prove(self, candidate: NodeIdentity) -> float:
        """Use the candidate for one call; only then is it the node's identity, and the old one goes."""
        folder = write_identity(self._data_dir, candidate)
        uplink = self._connect(candidate)
        try:
            uplink.pull_policy(PullPolicyRequest(wait_seconds=0))
        except UplinkError as error:
            uplink.close()
            shutil.rmtree(folder, ignore_errors=True)
            return self._failed(str(error))
        adopt_identity(self._data_dir, folder)
        self._identity = candidate
        self._adopt(candidate, uplink)
        self._health.clear(conditions.RENEWAL_FAILED.code, conditions.CERTIFICATE_ENDS.code)
        log.info("identity.renewed", valid_until=candidate.valid_until.isoformat())
        return 0.0

    def _failed(self, why: str) -> float:
        self._health.hold(
            conditions.RENEWAL_FAILED.saying(f"A new certificate came but does not work ({why}); the old one stays.")
        )
        pause = spread(TRY_AGAIN_SECONDS, self._chance())
        self._not_before = self._monotonic() + pause
        return pause

    def _warn_when_late(self) -> None:
        """Two thirds of the life are over and it is still the old one: somebody should know while there is time."""
        ends, begins = self._identity.valid_until, self._identity.valid_from
        left: timedelta = ends - self._now()
        if left < (ends - begins) / 3:
            self._health.hold(
                conditions.CERTIFICATE_ENDS.saying(
                    f"This node's certificate ends at {ends:%Y-%m-%d %H:%M} UTC and could not be renewed."
                )
            )
