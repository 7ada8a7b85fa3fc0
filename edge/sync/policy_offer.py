"""What to do with a policy that was offered (pure)."""

from __future__ import annotations

from dataclasses import dataclass

from edge.sync.policy_place import Place, place_of
from edge.sync.policy_rejections import Rejection
from mesh.v1.common_pb2 import PolicyBundle


@dataclass(frozen=True, slots=True, kw_only=True)
class Take:
    """Newer than what runs: try it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Nothing:
    """It runs already, or it was refused here before."""

    remembered: Rejection | None = None
    """The refusal, when that is why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refuse:
    """It must not run here, whatever is in it."""

    reason: str
    code: str = "order"


Answer = Take | Nothing | Refuse


def judge(
    offered: PolicyBundle,
    *,
    running: PolicyBundle | None,
    asked_with: PolicyBundle | None,
    rejection: Rejection | None,
    trouble: str,
) -> Answer:
    """The answer to an offer; `rejection` is that of this very bundle, `trouble` says what is wrong with its signature.

    `asked_with` is what ran when the question was asked. An offer that was right then and came late, after a later
    one, is nobody's fault.

    An older version only comes back with a higher generation, so two control planes that disagree cannot make a
    node go back and forth.
    """
    if rejection is not None:
        return Nothing(remembered=rejection)
    if trouble:
        return Refuse(reason=trouble, code="signature")
    if running is None:
        return Take()
    here, there = place_of(running), place_of(offered)
    if there > here:
        return Take()
    if there < here and (asked_with is None or there > place_of(asked_with)):
        return Nothing()
    if there == here:
        return Nothing() if offered.sha256 == running.sha256 else Refuse(reason=_two_texts(there))
    return Refuse(reason=f"Policy {there} is older than {here}, which runs here. Going back needs a higher generation.")


def _two_texts(place: Place) -> str:
    return f"Policy {place} runs here with another text: one place in the order has two policies."
