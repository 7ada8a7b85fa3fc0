"""An offered policy's way through this node: verify, dry run, activate, probation, then commit or go back.

`policy_stages.py` has the way as a table; here is what is done at each step. One thread at a time.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import assert_never

import structlog

from edge.errors import PolicyError
from edge.sync import conditions
from edge.sync.conditions import LinkHealth
from edge.sync.policy_offer import Nothing, Refuse, Take, judge
from edge.sync.policy_place import fingerprint, place_of
from edge.sync.policy_rejections import Rejection
from edge.sync.policy_stages import Event, Stage, after
from edge.sync.policy_store import PolicyStore
from edge.sync.policy_telling import PolicyTelling, error_text, fallback_text, figures_message, not_saved
from edge.sync.probation import Counts, Harm, Healthy, NotYet, Terms, judge_probation
from edge.sync.trial_note import Trial, trial_of
from mesh.v1.common_pb2 import PolicyBundle
from mesh.v1.sync_pb2 import LocalOverride, PolicyFigures, PolicyStatus

log = structlog.get_logger(__name__)

AFTER_REFUSAL_SECONDS = 60.0
"""How often to ask again while the centre still offers what was refused here; a nudge comes sooner."""
AFTER_OFFER_SECONDS = 1.0
"""Time for the status report to arrive, so that a centre that remembers refusals does not offer it again."""
MAX_ERROR_TEXT = 4000
MOST_TRIES = 3
"""A policy that core did not survive loading so often is refused."""


class PolicyPipeline:
    """What runs here, what is tried, and what was refused.

    `apply_policy` makes a policy the one that is in force, and raises PolicyError when it must not be. `dry_run` loads
    one without effect, raises the same, and says what went badly with the sample, or nothing. While a person's
    `override` runs instead, no time on probation passes.
    """

    def __init__(
        self,
        *,
        policies: PolicyStore,
        health: LinkHealth,
        running: PolicyBundle | None,
        apply_policy: Callable[[PolicyBundle], None],
        dry_run: Callable[[PolicyBundle], Harm | None] = lambda _: None,
        counts: Callable[[], Counts] = Counts,
        terms: Terms | None = None,
        on_change: Callable[[], None] = lambda: None,
        override: Callable[[], LocalOverride | None] = lambda: None,
        after_refusal_seconds: float = AFTER_REFUSAL_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._policies, self._health = policies, health
        self._apply, self._dry_run, self._counts = apply_policy, dry_run, counts
        self._terms = terms or Terms()
        self._override = override
        self._after_refusal = after_refusal_seconds
        self._monotonic = monotonic
        self._deciding = threading.Lock()
        self.running = running
        self._fallback: PolicyBundle | None = None
        self._trial: Trial | None = None
        """While what runs is on probation."""
        self._save: Callable[[], None] | None = None
        """What the disk did not take yet."""
        self._then = counts()
        self._active_since = monotonic()
        self._telling = PolicyTelling(health=health, on_change=on_change)
        self._begin()

    # for any thread

    def state(self) -> PolicyStatus:
        """What runs and what was last tried, for the status report."""
        status = self._telling.status()
        if (override := self._override()) is not None:
            status.override.CopyFrom(override)
        return status

    def figures(self) -> PolicyFigures | None:
        """What happened under what runs."""
        if self.running is None:
            return None
        seconds = self._monotonic() - self._active_since
        left = self._terms.seconds - seconds if self._trial is not None else 0.0
        return figures_message(self._counts(), self._then, seconds=seconds, probation_left=left)

    def take_candidate(self) -> None:
        """Try what came with the enrolment, and save what the disk did not take before."""
        with self._deciding:
            self._save_again()
            if (candidate := self._policies.take_candidate()) is not None:
                self._consider(candidate, asked_with=self.running)

    def consider(self, offered: PolicyBundle, *, asked_with: PolicyBundle | None) -> float:
        """Deal with one offer; say how long to wait before the next question: never a hot loop."""
        with self._deciding:
            return self._consider(offered, asked_with=asked_with)

    def watch(self) -> bool:
        """Look at a policy on probation; whether there is one to look at again."""
        with self._deciding:
            self._save_again()
            if self._override() is not None:
                self._then, self._active_since = self._counts(), self._monotonic()
                self._trial = self._trial and replace(self._trial, then=self._then)  # begins when it really runs
            elif self._trial is not None and self.running is not None:
                self._judge(self.running, self._trial)
            return self._trial is not None

    # the steps

    def _begin(self) -> None:
        """Go on where a restart interrupted."""
        stored = next(self._policies.good(), None)
        if stored is not None and stored.passed_over:
            self._health.hold(conditions.POLICY_FALLBACK.saying(fallback_text(stored)))
        trial, active = self._policies.on_probation(), self._policies.active()
        if trial is not None and active is not None:
            if self.running != active:
                self._refuse(active, Stage.ROLLED_BACK, Harm(code="does_not_load", reason="A restart cannot load it."))
                self._keep(lambda: self._policies.roll_back(self.running))
                return
            self._trial, self._then, self._fallback = trial, trial.then, self._policies.fallback()
            self._telling.tell(active, Stage.ON_PROBATION, running=self.running)
        elif (rejection := self._policies.rejections.last()) is not None:
            self._telling.tell_rejection(rejection, running=self.running)
        elif self.running is not None:
            self._telling.tell(self.running, Stage.COMMITTED, running=self.running)

    def _consider(self, offered: PolicyBundle, *, asked_with: PolicyBundle | None) -> float:
        answer = judge(
            offered,
            running=self.running,
            asked_with=asked_with,
            rejection=self._policies.rejections.find(fingerprint(offered)),
            trouble=self._signature_trouble(offered),
        )
        match answer:
            case Take():
                return self._try(offered, after(Stage.OFFERED, Event.SIGNED_FOR_US))
            case Nothing(remembered=remembered):
                # The centre offers it although it was told of the refusal, or cannot have heard of it.
                return AFTER_OFFER_SECONDS if remembered is None else self._after_refusal
            case Refuse(reason=reason, code=code):
                harm = Harm(code=code, reason=reason)
                return self._refuse(offered, after(Stage.OFFERED, Event.NOT_FOR_US), harm)
        assert_never(answer)

    def _signature_trouble(self, offered: PolicyBundle) -> str:
        try:
            self._policies.verify(offered)
        except PolicyError as error:
            return f"{error} {error.hint}".strip()
        return ""

    def _try(self, offered: PolicyBundle, stage: Stage) -> float:
        if (tries := self._policies.trying.begin(trial_of(offered), MOST_TRIES)) > MOST_TRIES:
            harm = Harm(code="crashes", reason=f"The node's core ended {MOST_TRIES} times while it loaded this policy.")
            return self._refuse(offered, after(stage, Event.CRASHED_TOO_OFTEN), harm)
        self._telling.tell(offered, stage, running=self.running)
        then = self._counts()
        try:
            sample = self._dry_run(offered)
            stage = after(stage, Event.LOADED)
            if sample is not None:
                return self._refuse(offered, after(stage, Event.SAMPLE_WENT_BADLY), sample)
            self._apply(offered)
        except PolicyError as error:
            harm = Harm(code="does_not_load", reason=error_text(error))
            return self._refuse(offered, after(stage, Event.DOES_NOT_LOAD), harm)
        except Exception as error:
            # Not the policy's fault for certain, and a refusal would be the last word: it is still being applied.
            log.exception("policy.apply-failed", policy=str(place_of(offered)), tries=tries)
            why = f"The node failed to apply it and will try again: {type(error).__name__}"
            self._telling.tell(offered, after(stage, Event.FAILED_BY_ACCIDENT), running=self.running, error=why)
            self._policies.trying.end_if_possible()
            return self._after_refusal
        self._activate(offered, then)
        return AFTER_OFFER_SECONDS

    def _activate(self, offered: PolicyBundle, then: Counts) -> None:
        """It is in force: on probation, with what ran before to go back to."""
        if self._trial is None:
            self._fallback = self.running  # else what ran was not committed, and its fall-back stays
        place, now = place_of(offered), datetime.now(UTC).isoformat(timespec="seconds")
        trial = replace(trial_of(offered), since=now, then=then)
        self.running, self._trial, self._then, self._active_since = offered, trial, then, self._monotonic()
        self._keep(lambda: self._policies.activate(offered, trial=trial))
        self._policies.trying.end_if_possible()
        log.info("policy.on-probation", policy=str(place), seconds=self._terms.seconds)
        self._telling.tell(offered, after(Stage.DRY_RUN, Event.SAMPLE_WENT_WELL), running=offered)
        if self._terms.seconds <= 0:
            self._commit(offered)

    def _judge(self, running: PolicyBundle, trial: Trial) -> None:
        verdict = judge_probation(
            trial.then,
            self._counts(),
            seconds=self._monotonic() - self._active_since,
            terms=self._terms,
            can_go_back=self._fallback is not None,
        )
        match verdict:
            case NotYet():
                return
            case Healthy():
                self._commit(running)
            case Harm():
                self._roll_back(running, verdict)
            case _:
                assert_never(verdict)

    def _commit(self, running: PolicyBundle) -> None:
        if self._save is not None:
            return  # the disk has not even taken it yet
        stage, place = after(Stage.ON_PROBATION, Event.STAYED_HEALTHY), place_of(running)
        self._trial = self._fallback = None

        def save() -> None:
            self._policies.commit()
            self._policies.rejections.forget_up_to(place)

        self._keep(save)
        log.info("policy.applied", policy=str(place))
        self._health.clear(conditions.POLICY_REFUSED.code, conditions.POLICY_ROLLED_BACK.code)
        self._telling.tell(running, stage, running=running)

    def _roll_back(self, running: PolicyBundle, harm: Harm) -> None:
        fallback = self._fallback
        if fallback is None:
            return
        self._apply(fallback)
        self.running, self._trial, self._fallback = fallback, None, None
        self._then, self._active_since = self._counts(), self._monotonic()
        self._refuse(running, after(Stage.ON_PROBATION, Event.BECAME_UNHEALTHY), harm)
        self._keep(lambda: self._policies.roll_back(fallback))

    def _refuse(self, offered: PolicyBundle, stage: Stage, harm: Harm) -> float:
        """Remember it before anything else: a crash after this never runs it again."""
        rejection = Rejection(
            place=place_of(offered),
            sha256=fingerprint(offered),
            error=harm.reason[:MAX_ERROR_TEXT],
            code=harm.code,
            rolled_back=stage is Stage.ROLLED_BACK,
            offer=offered.offer,
        )
        event = "policy.rolled-back" if rejection.rolled_back else "policy.refused"
        log.error(event, policy=str(rejection.place), code=harm.code, reason=rejection.error)
        try:
            self._policies.rejections.remember(rejection)
        except OSError as error:
            log.warning("policy.refusal-not-saved", error=str(error))
        self._policies.trying.end_if_possible()
        self._telling.tell_rejection(rejection, running=self.running)
        return AFTER_OFFER_SECONDS

    def _keep(self, save: Callable[[], None]) -> None:
        """What is so here becomes what the next start finds."""
        self._save = save
        self._save_again()

    def _save_again(self) -> None:
        """Tried again for as long as the disk does not take it."""
        if self._save is None:
            return
        try:
            self._save()
        except OSError as error:
            if self.running is not None:
                self._health.hold(not_saved(self.running, error))
            return
        self._save = None
        self._health.clear(conditions.POLICY_NOT_SAVED.code, conditions.POLICY_FALLBACK.code)
