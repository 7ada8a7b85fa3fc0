"""The dry run of a policy: decides what is in the spool anew, with no effect, and says when that went badly."""

from __future__ import annotations

from pathlib import Path

import structlog

from edge.buffer.spool import Spool
from edge.buffer.view import BufferView, Held
from edge.errors import EdgeError
from edge.model import Decision, TagSet
from edge.policy.document import Policy
from edge.policy.match import decide
from edge.policy.placing import placed
from edge.sync.probation import Harm, Terms, unrouted_harm
from edge.tags import read_file_tags

log = structlog.get_logger(__name__)

SAMPLE = 100
"""Headers that are read again; a few milliseconds each on a slow disk."""
_FAILED = "the condition failed"


def rehearse(data_dir: Path, policy: Policy, before: Policy | None, terms: Terms, *, site: str = "") -> Harm | None:
    """What would go badly with what came last. Nothing, when there is too little to judge by, or it cannot be read."""
    decisions, decisions_before = [], []
    for held, tags in _sample(data_dir):
        facts, at = held.sealed.facts, held.sealed.received_at
        decisions.append(decide(policy, placed(policy, facts, site=site, received_at=at), tags))
        if before is not None:
            decisions_before.append(decide(before, placed(before, facts, site=site, received_at=at), tags))
    log.info("policy.dry-run", policy=policy.label, instances=len(decisions))
    if (harm := _failing(decisions, decisions_before, terms)) is not None:
        return harm
    if not policy.routes or before is None:
        return None  # a policy that names no routes means it
    nowhere = sum(1 for one in decisions if not one.destinations)
    nowhere_before = sum(1 for one in decisions_before if not one.destinations)
    share_before = nowhere_before / len(decisions_before) if decisions_before else 0.0
    return unrouted_harm(unrouted=nowhere, of=len(decisions), before=share_before, terms=terms)


def _failing(decisions: list[Decision], before: list[Decision], terms: Terms) -> Harm | None:
    failed, failed_before = _failures(decisions), _failures(before)
    share_before = failed_before / len(before) if before else 0.0
    if failed >= terms.least and failed / len(decisions) > share_before + terms.rise:
        text = f"A condition fails for {failed} of the last {len(decisions)} instances ({share_before:.0%} before)."
        return Harm(code="dry_run", reason=text)
    return None


def _failures(decisions: list[Decision]) -> int:
    return sum(1 for one in decisions if any(outcome.reason.startswith(_FAILED) for outcome in one.outcomes))


def _sample(data_dir: Path) -> list[tuple[Held, TagSet]]:
    view, spool, found = BufferView(data_dir), Spool(data_dir / "spool"), []
    try:
        for held in view.held_newest(SAMPLE):
            try:
                with spool.open_slot(held.sealed) as file:
                    tags = read_file_tags(
                        file,
                        offset=held.sealed.data_set_offset,
                        length=held.sealed.data_set_length,
                        transfer_syntax_uid=held.sealed.transfer_syntax_uid,
                    )
            except (EdgeError, OSError):
                continue  # it has just left
            found.append((held, tags))
    finally:
        view.close()
    return found
