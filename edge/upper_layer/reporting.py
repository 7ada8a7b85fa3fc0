"""One N-EVENT-REPORT over an association of its own: rare, so the library's requestor does all of it."""

from __future__ import annotations

from pynetdicom import AE, build_role

from edge.upper_layer.announcing import COMMITMENT_INSTANCE, Verdict
from edge.upper_layer.negotiation import COMMITMENT, PLAIN

TIMEOUT_SECONDS = 20.0


def deliver(verdict: Verdict, host: str, port: int, *, calling: str, called: str) -> bool:
    """Whether the peer took the report (PS3.4 section J.3.3; we are the SCP: PS3.7 Annex D.3.3.4)."""
    entity = AE(ae_title=calling)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = TIMEOUT_SECONDS
    entity.connection_timeout = TIMEOUT_SECONDS
    entity.add_requested_context(COMMITMENT, list(PLAIN[:2]))
    role = build_role(COMMITMENT, scp_role=True)
    association = entity.associate(host, port, ae_title=called, ext_neg=[role])
    if not association.is_established:
        return False
    try:
        answer, _information = association.send_n_event_report(
            verdict.data_set(), verdict.event_type, COMMITMENT, COMMITMENT_INSTANCE
        )
        return bool(answer.get("Status") == 0x0000)
    except (RuntimeError, ValueError):
        return False  # it did not accept the service, or went away
    finally:
        association.release()
