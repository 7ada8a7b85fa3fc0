"""The policy that a node runs: from the command line, or the centre's last good one, until the link brings another."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import structlog

from edge.errors import PolicyError
from edge.health import NO_POLICY, HealthBoard
from edge.overriding import Overriding
from edge.policy.document import Policy, load_policy
from edge.policy_override import OverrideFiles
from edge.rehearsal import rehearse
from edge.sync.conditions import LinkHealth
from edge.sync.link import MakePipeline
from edge.sync.policy_pipeline import PolicyPipeline
from edge.sync.policy_place import policy_label
from edge.sync.policy_start import begin
from edge.sync.policy_store import PolicyStore
from edge.sync.probation import Counts, Harm, Terms
from edge.sync.trust import PolicyTrust
from mesh.v1.common_pb2 import PolicyBundle
from mesh.v1.sync_pb2 import LocalOverride

log = structlog.get_logger(__name__)


class PolicyInForce:
    """`policy` is for any thread; it changes as a whole.

    `local` is the policy of the command line; it beats the centre's. `changed` is called with each policy that comes
    into force after `take_up`, and raises nothing. `audit` keeps what the node ends by itself.
    """

    def __init__(
        self,
        data_dir: Path,
        local: Policy | None,
        *,
        trust: PolicyTrust | None,
        health: HealthBoard,
        changed: Callable[[Policy], None],
        terms: Terms,
        audit: Callable[[str, str], None] = lambda _action, _reason: None,
    ) -> None:
        self._data_dir, self._health, self._changed, self._terms = data_dir, health, changed, terms
        self._trust = trust if local is None else None
        self._lock = threading.RLock()
        self.policy = local
        self._centres: Policy | None = None
        self._bundle: PolicyBundle | None = None
        self._persons: Policy | None = None
        self.overriding = Overriding(data_dir, health=health, use=self._override, audit=audit)

    def take_up(self, *, counts_as_start: bool = True) -> None:
        """Take the newest policy of the centre that is on this disk, good and runnable, unless there is a local one."""
        if self._trust is None:
            return
        store = self._store(self._trust)
        if counts_as_start and OverrideFiles(self._data_dir).read() is None:
            begin(store, self._terms)  # what runs instead of it is not its fault
        for stored in store.good():
            try:
                self.policy = loaded(stored.bundle)
            except PolicyError:
                log.exception("policy.cannot_run", file=stored.file)
                continue
            self._centres, self._bundle = self.policy, stored.bundle
            return

    def follows(self) -> bool:
        """Whether the control plane's policy is what runs here."""
        return self._trust is not None

    def start(self) -> None:
        """Take up a policy that a person placed here, and look for one from now on."""
        if self._trust is not None:
            self.overriding.step()
            self.overriding.start()

    def stop(self) -> None:
        """End."""
        if self._trust is not None:
            self.overriding.stop()

    def apply(self, bundle: PolicyBundle) -> None:
        """Run this policy from now on.

        Raises:
            PolicyError: it must not run here; the one before goes on untouched.
        """
        policy = loaded(bundle)
        with self._lock:
            self._centres, self._bundle = policy, bundle
            if self._persons is None:
                self.policy = policy
                self._changed(policy)
        self._health.clear(NO_POLICY.code)

    def pipeline(self, counts: Callable[[], Counts]) -> MakePipeline | None:
        """What makes the link's pipeline of policies; None when this node does not follow the centre."""
        if self._trust is None:
            return None
        store = self._store(self._trust)

        def make(health: LinkHealth, on_change: Callable[[], None]) -> PolicyPipeline:
            return PolicyPipeline(
                policies=store,
                health=health,
                running=self._bundle,
                apply_policy=self.apply,
                dry_run=self._dry_run,
                counts=counts,
                terms=self._terms,
                on_change=on_change,
                override=self._told_override,
            )

        return make

    def commit_unwatched(self) -> None:
        """Without a link nobody watches a policy on probation: what a start could load stays."""
        if self._trust is not None:
            self._store(self._trust).commit()

    def _override(self, persons: Policy | None) -> None:
        """A person's policy comes into force, or ends: then the centre's runs, the newest that came meanwhile."""
        with self._lock:
            self._persons = persons
            self.policy = persons or self._centres
            if self.policy is not None:
                self._changed(self.policy)
                self._health.clear(NO_POLICY.code)
            else:
                self._health.raise_condition(NO_POLICY)  # what was decided goes on

    def _told_override(self) -> LocalOverride | None:
        found = self.overriding.current
        if found is None:
            return None
        told = LocalOverride(sha256=found.sha256(), for_seconds=int(found.seconds), placed_by=found.placed_by)
        told.placed_at.FromDatetime(datetime.fromisoformat(found.placed_at))
        return told

    def _dry_run(self, bundle: PolicyBundle) -> Harm | None:
        """Load a policy and decide by it what came last, without effect: what went badly.

        Raises:
            PolicyError: it must not run here.
        """
        site = self._trust.site if self._trust is not None else ""
        return rehearse(self._data_dir, loaded(bundle), self._centres, self._terms, site=site)

    def _store(self, trust: PolicyTrust) -> PolicyStore:
        return PolicyStore(self._data_dir, site=trust.site, public_key=trust.public_key)


def loaded(bundle: PolicyBundle) -> Policy:
    """The policy of a bundle, compiled.

    Raises:
        PolicyError: it must not run.
    """
    try:
        text = bundle.document.decode("utf-8")
    except UnicodeDecodeError as error:
        raise PolicyError("the policy document is not UTF-8 text") from error
    return load_policy(text).labelled(policy_label(bundle))
