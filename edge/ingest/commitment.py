"""Storage commitment (PS3.4 Annex J): what lies in the spool is committed, because it would survive a power cut.

What is not there any more when it is asked for is not committed, also when it was delivered: the modality keeps its
copy, or sends it again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import structlog

from edge import metrics
from edge.buffer.expectations import Expectations, LedgerFailing, Outcome
from edge.ingest import statuses
from edge.ingest.announced import READING, Unfit, commitment_asked, read
from edge.upper_layer import command
from edge.upper_layer.announcing import COMMITMENT_INSTANCE, Announcement, Verdict, commitments, event_report
from edge.upper_layer.negotiation import Context
from edge.upper_layer.services import Handlers, Services

log = structlog.get_logger(__name__)
PATIENCE_SECONDS = 5.0
"""How long what was acknowledged may wait for its row: under load, or while core starts again."""
_PAUSES = (0.05, 0.1, 0.2, 0.5)
_REQUEST = 1
_MESSAGE_IDS = 1 << 16
Later = Callable[[str, Verdict], bool]
"""Tell a modality, by its AE title, over an association of our own; False when nobody knows where it is."""


class Commitment:
    """Answers requests for commitment of one association, and reports on it as long as it is open."""

    def __init__(
        self,
        expectations: Expectations,
        calling_ae_title: str,
        later: Later,
        *,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self._expectations, self._calling, self._later = expectations, calling_ae_title, later
        self._patience = patience_seconds
        self._asked: list[tuple[int, str, Mapping[str, str]]] = []
        self._told: dict[int, Verdict] = {}
        self._message_id = 0

    def handlers(self) -> Handlers:
        """What the library asks."""
        return commitments(self._ask)

    def report(self, services: Services, contexts: Mapping[int, Context]) -> None:
        """Tell of what was asked for just now. Its answer comes later, or never.

        Raises:
            AssociationEnded: the peer takes nothing any more; `close` sees to what it did not hear.
        """
        while self._asked:
            context_id, transaction, named = self._asked.pop(0)
            verdict = self._verdict(transaction, named)
            metrics.COMMITMENTS.labels(outcome="committed").inc(len(verdict.committed))
            metrics.COMMITMENTS.labels(outcome="failed").inc(len(verdict.failed))
            self._message_id = self._message_id % (_MESSAGE_IDS - 1) + 1
            self._told[self._message_id] = verdict
            syntax = contexts[context_id].transfer_syntax_uid
            services.tell(context_id, event_report(verdict, message_id=self._message_id, transfer_syntax_uid=syntax))

    def answered(self, elements: dict[int, bytes]) -> bool:
        """Whether this is the answer to a report of ours; one that says no is reported again later."""
        verdict = self._told.pop(command.number(elements, command.RESPONDED_TO) or 0, None)
        if verdict is None:
            return False
        if command.number(elements, command.STATUS) == statuses.SUCCESS:
            metrics.COMMITMENT_REPORTS.labels(outcome="taken").inc()
        else:
            self._tell_later(verdict)
        return True

    def close(self) -> None:
        """The association is over: what its peer did not hear goes another way."""
        for verdict in self._told.values():
            self._tell_later(verdict)
        self._told.clear()

    def _tell_later(self, verdict: Verdict) -> None:
        if self._later(self._calling, verdict):
            return
        metrics.COMMITMENT_REPORTS.labels(outcome="unreported").inc()
        hint = "The sender did not take the report. Name where it listens in commitment_reports; or it asks again."
        log.warning("commitment.unreported", calling_ae_title=self._calling, hint=hint)

    def _ask(self, request: Announcement) -> int:
        try:
            transaction, named = _wanted(request)
        except Unfit as error:
            metrics.ANNOUNCEMENTS.labels(kind="commitment", outcome=error.reason).inc()
            hint = f"{error.words} Mend the sender."
            log.warning("commitment.refused", reason=error.reason, calling_ae_title=self._calling, hint=hint)
            return error.status
        self._expect(transaction, named)
        self._asked.append((request.context_id, transaction, named))
        return statuses.SUCCESS

    def _expect(self, transaction: str, named: Mapping[str, str]) -> None:
        """That it is waited for is a help; the answer does not hang on it."""
        try:
            outcome = self._expectations.asked(transaction, list(named))
        except LedgerFailing:
            outcome = None
            log.exception("announcement.failed", kind="commitment")
        if outcome is Outcome.KEPT:
            metrics.ANNOUNCEMENTS.labels(kind="commitment", outcome="kept").inc()
        else:
            metrics.ANNOUNCEMENTS.labels(kind="commitment", outcome=outcome.value if outcome else "failed").inc()

    def _verdict(self, transaction: str, named: Mapping[str, str]) -> Verdict:
        held = self._held(named)
        committed = {uid: wanted for uid, wanted in named.items() if held and held.get(uid) == wanted}
        failed = {uid: (wanted, _reason(held, uid)) for uid, wanted in named.items() if uid not in committed}
        return Verdict(transaction_uid=transaction, committed=committed, failed=failed)

    def _held(self, named: Mapping[str, str]) -> Mapping[str, str] | None:
        """Classes of what lies in the spool; None when nobody can say."""
        deadline, found, pauses = time.monotonic() + self._patience, None, iter(_PAUSES)
        while True:
            try:
                found = self._expectations.in_custody(list(named))
            except LedgerFailing:
                log.warning("commitment.not_looked_up", exc_info=True, hint="Nothing is committed until it can be.")
            if (found is not None and len(found) == len(named)) or time.monotonic() >= deadline:
                return found
            time.sleep(next(pauses, _PAUSES[-1]))


def _wanted(request: Announcement) -> tuple[str, Mapping[str, str]]:
    if request.sop_instance_uid != COMMITMENT_INSTANCE:
        raise Unfit("no-such-instance", statuses.NO_SUCH_INSTANCE, "It asks another instance than the well-known one.")
    if request.action != _REQUEST:
        raise Unfit("no-such-action", statuses.NO_SUCH_ACTION, "It asks for another action than commitment.")
    with READING:
        return commitment_asked(read(request.data_set, request.transfer_syntax_uid))


def _reason(held: Mapping[str, str] | None, uid: str) -> int:
    """PS3.3 section C.14.1.1."""
    if held is None:
        return statuses.PROCESSING_FAILURE
    return statuses.CLASS_INSTANCE_CONFLICT if uid in held else statuses.NO_SUCH_INSTANCE
