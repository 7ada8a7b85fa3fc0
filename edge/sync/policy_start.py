"""What a start does with a policy that a crash left on probation, before anything is loaded."""

from __future__ import annotations

from dataclasses import replace

import structlog

from edge.sync.policy_place import fingerprint, place_of
from edge.sync.policy_rejections import Rejection
from edge.sync.policy_store import PolicyStore
from edge.sync.probation import Terms

log = structlog.get_logger(__name__)


def begin(store: PolicyStore, terms: Terms) -> None:
    """Count this start, and go back to the policy before when core started too often. Never raises.

    A core that its policy kills is started again and again and reaches nothing that could judge: so the judge is here.
    """
    try:
        _begin(store, terms)
    except OSError as error:
        # A full disk: the policy on it is complete, whichever it is.
        log.warning("policy.trial-not-saved", error=str(error))


def _begin(store: PolicyStore, terms: Terms) -> None:
    trial, active = store.on_probation(), store.active()
    if trial is None or active is None:
        store.probation.end()  # it was written, and the switch after it not made
        return
    if store.rejections.find(trial.fingerprint) is not None:
        _go_back(store)  # the crash came in the middle of that
        return
    trial = replace(trial, begun=trial.begun + 1)
    if trial.begun < terms.starts:
        store.probation.write(trial)
        return
    reason = f"The node's core had to be started {trial.begun} times while this policy was on probation."
    rejection = Rejection(
        place=place_of(active),
        sha256=fingerprint(active),
        error=reason,
        code="crashes",
        rolled_back=True,
        offer=active.offer,
    )
    log.error("policy.rolled-back", policy=str(rejection.place), code=rejection.code, reason=reason)
    store.rejections.remember(rejection)
    _go_back(store)


def _go_back(store: PolicyStore) -> None:
    fallback = store.fallback()
    if fallback is None:
        log.error("policy.none-left", hint="Images are kept until another policy comes.")
    store.roll_back(fallback)
