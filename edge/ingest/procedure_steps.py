"""Performed procedure steps that modalities report (MPPS, PS3.4 section F.7): kept before they are answered."""

from __future__ import annotations

import uuid

import structlog

from edge import metrics
from edge.buffer.expectations import Expectations, LedgerFailing, Outcome
from edge.ingest import statuses
from edge.ingest.announced import READING, Unfit, read, step_news
from edge.upper_layer.announcing import Announcement, Made, procedure_steps
from edge.upper_layer.services import Handlers

log = structlog.get_logger(__name__)
_STATUSES = {
    Outcome.KEPT: statuses.SUCCESS,
    Outcome.KNOWN: statuses.DUPLICATE_SOP_INSTANCE,
    Outcome.UNKNOWN: statuses.NO_SUCH_INSTANCE,
    Outcome.FINISHED: statuses.PROCESSING_FAILURE,
    Outcome.FULL: statuses.RESOURCE_LIMITATION,
}


class ProcedureSteps:
    """Answers N-CREATE and N-SET of one association."""

    def __init__(self, expectations: Expectations, calling_ae_title: str) -> None:
        self._expectations, self._calling = expectations, calling_ae_title

    def handlers(self) -> Handlers:
        """What the library asks."""
        return procedure_steps(self._create, self._change)

    def _create(self, request: Announcement) -> Made:
        # Who names none is given one (PS3.7 section 10.1.5.1.4).
        given = "" if request.sop_instance_uid else f"2.25.{uuid.uuid4().int}"
        status = self._take(request, request.sop_instance_uid or given, begins=True)
        return Made(status, given if status == statuses.SUCCESS else "")

    def _change(self, request: Announcement) -> int:
        return self._take(request, request.sop_instance_uid, begins=False)

    def _take(self, request: Announcement, uid: str, *, begins: bool) -> int:
        kind = "step-begun" if begins else "step-changed"
        try:
            with READING:
                news = step_news(uid, read(request.data_set, request.transfer_syntax_uid), begins=begins)
            outcome = self._expectations.begin(news) if begins else self._expectations.change(news)
        except Unfit as error:
            self._say(kind, error.reason, f"{error.words} Mend the sender.")
            return error.status
        except LedgerFailing as error:
            self._say(kind, "failed", error.hint)
            log.exception("announcement.failed", kind=kind)
            return statuses.PROCESSING_FAILURE
        if outcome is not Outcome.KEPT:
            self._say(kind, outcome, _HINTS[outcome])
        else:
            metrics.ANNOUNCEMENTS.labels(kind=kind, outcome=outcome.value).inc()
        return _STATUSES[outcome]

    def _say(self, kind: str, reason: str, hint: str) -> None:
        metrics.ANNOUNCEMENTS.labels(kind=kind, outcome=reason).inc()
        log.warning("announcement.refused", kind=kind, reason=reason, calling_ae_title=self._calling, hint=hint)


_HINTS = {
    Outcome.KNOWN: "There is a step under this UID; nothing is lost.",
    Outcome.UNKNOWN: "This node did not hear the step begin; its images go as those of a modality without MPPS.",
    Outcome.FINISHED: "The step is over, and changes no more; its images are not affected.",
    Outcome.FULL: "More is announced than is remembered; images are not affected. Look for a sender that announces "
    "without end.",
}
