"""The errors about policies, layers and roll-outs; the rest of the tree is in `errors`.

NotFound     UnknownPolicyVersion, UnknownGroup, UnknownScope, UnknownRollout
Conflict     PolicyHeld (a roll-out is under way at this site), NothingToGoBackTo, NotNow
             PolicyMoved (If-Match names a state that is over; carries the present one): LayerMoved, RolloutMoved
Invalid      InvalidRollout
             InvalidPolicy (carries its diagnostics): InvalidLayer (each with the layer that it lies in)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from control.errors import Conflict, Invalid, NotFound


class UnknownRollout(NotFound):
    """There is no roll-out of this id."""

    hint = "`skerry-control rollout list` names the roll-outs."


class UnknownGroup(NotFound):
    """There is no group of this name."""

    hint = "`skerry-control group list` names the groups."


class UnknownScope(NotFound):
    """There is nobody whose layer this would be."""

    hint = "A layer is of mesh, group/NAME, site/NAME or node/ID."


class UnknownPolicyVersion(NotFound):
    """This site has no policy of this version."""

    hint = "`skerry-control policy list SITE` names the versions."


class InvalidRollout(Invalid):
    """This cannot be rolled out so."""


class InvalidPolicy(Invalid):
    """The policy must not run."""

    hint = "Mend the lines that the diagnostics name."

    def __init__(
        self,
        message: str | None = None,
        *,
        hint: str | None = None,
        diagnostics: Sequence[Mapping[str, object]] = (),
    ) -> None:
        super().__init__(message, hint=hint)
        self.diagnostics = tuple(diagnostics)

    def details(self) -> Mapping[str, object]:
        """Where and why, line by line."""
        return {"diagnostics": list(self.diagnostics)}


class InvalidLayer(InvalidPolicy):
    """With this layer, some policy would not run."""

    hint = "Mend the lines that the diagnostics name; each names its layer."


class PolicyMoved(Conflict):
    """The policies of this site changed since you looked."""

    hint = "Look again, and send the new ETag as If-Match."

    def __init__(self, *, etag: str) -> None:
        super().__init__()
        self.etag = etag

    def details(self) -> Mapping[str, object]:
        """What would fit now."""
        return {"etag": self.etag}


class LayerMoved(PolicyMoved):
    """This layer changed since you looked."""


class PolicyHeld(Conflict):
    """A roll-out decides what this site runs."""

    hint = "Wait for its end, or end it with `skerry-control rollout abort ID`."


class NothingToGoBackTo(Conflict):
    """The site runs no policy, so a roll-out could not go back."""

    hint = "Publish its first policy with `skerry-control policy publish SITE FILE`."


class NotNow(Conflict):
    """This cannot happen to the roll-out in its present state."""

    hint = "`skerry-control rollout show ID` tells where it is."


class RolloutMoved(PolicyMoved):
    """The roll-out went on since you looked."""

    hint = "Look again, and send the new ETag as If-Match."
