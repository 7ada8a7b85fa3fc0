"""Every error that the control plane raises on purpose. Nothing of HTTP or gRPC here (see `http_errors`).

Those about policies, layers and roll-outs hang on this tree from `policy_errors`.

    ControlError                    something we can name; `hint` says what to do, `code` is stable
    ├── SettingsError               the configuration cannot be used
    ├── NotFound
    │   ├── UnknownSite, UnknownNode, UnknownCommand, UnknownStudy, UnknownEnrolment, NotInAPool
    ├── Conflict
    │   ├── NameTaken               a site, node, user or key of this name exists
    │   ├── LastAdministrator, RequestUnderWay, OnlyNode, LastPoolMember, EnrolmentDecided
    ├── Invalid
    │   ├── InvalidName, InvalidCsr, InvalidCursor, InvalidQuery, InvalidPassword, InvalidGrant, KeyReused
    │   ├── InvalidFilter           carries the place and what may have been meant
    │   ├── InvalidEvent            carries the sequence of a pushed event that no node of ours writes
    │   └── TokenMalformed
    ├── TokenRefused
    │   ├── TokenUnknown, TokenUsed, TokenExpired
    ├── Refused
    │   ├── NotAuthenticated, WrongCredentials, Forbidden, CrossSiteRequest, NodeRevoked
    ├── TooManyAttempts             carries `retry_after`
    │   └── TooManyRequests
    └── Busy                        try again later
        └── DatabaseAway            what was asked may or may not have happened; asking again is safe

The class docstring is the message when none is given.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence


class ControlError(Exception):
    """Something went wrong in the control plane."""

    hint: str = ""

    def __init__(self, message: str | None = None, *, hint: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())
        if hint is not None:
            self.hint = hint

    @property
    def code(self) -> str:
        """A stable word for programs: `TokenUsed` is `TOKEN_USED`."""
        return re.sub(r"(?<!^)(?=[A-Z])", "_", type(self).__name__).upper()

    def details(self) -> Mapping[str, object]:
        """More members of the problem document, by name."""
        return {}


class SettingsError(ControlError):
    """The configuration cannot be used."""


class NotFound(ControlError):
    """Nothing is known under this name."""


class UnknownSite(NotFound):
    """There is no site of this name."""

    hint = "`skerry-control site list` names the sites."


class UnknownNode(NotFound):
    """There is no node with this id."""

    hint = "`skerry-control node list` names the nodes."


class UnknownCommand(NotFound):
    """No command of this id is known."""

    hint = "`skerry-control command list` names the commands."


class NotInAPool(NotFound):
    """No pool of this site has a member of this name."""

    hint = "`skerry-control pool show SITE` names the members; a node is one when it tells where balancers reach it."


class UnknownEnrolment(NotFound):
    """No box of this id waits or waited."""

    hint = "`skerry-control node pending` names those that wait."


class UnknownStudy(NotFound):
    """No node has told of this study."""


class Conflict(ControlError):
    """The change does not fit what is there."""


class NameTaken(Conflict):
    """This name is taken."""

    hint = "Choose another name."


class Invalid(ControlError):
    """The request cannot be understood."""


class InvalidName(Invalid):
    """A name has 1 to 63 lower-case letters, digits and hyphens, and starts with a letter or digit."""


class InvalidCommand(Invalid):
    """This cannot be asked of a node."""


class InvalidPassword(Invalid):
    """A password has 12 to 1024 characters."""


class InvalidGrant(Invalid):
    """This role cannot be given so."""


class InvalidCsr(Invalid):
    """The certificate signing request cannot be used."""

    hint = "Send a PEM PKCS#10 request signed with an ECDSA P-256 key."


class InvalidCursor(Invalid):
    """The cursor is not one that this control plane gave out."""

    hint = "Ask for the first page again, without a cursor."


class InvalidQuery(Invalid):
    """A search value cannot be used."""


class InvalidFilter(Invalid):
    """The filter cannot be understood."""

    def __init__(self, message: str, *, at: int, hint: str | None = None, suggestions: Sequence[str] = ()) -> None:
        meant = f"Perhaps {' or '.join(suggestions)}?" if suggestions else ""
        super().__init__(message, hint=" ".join(filter(None, (meant, hint))))
        self.position = at + 1
        self.suggestions = tuple(suggestions)

    def details(self) -> Mapping[str, object]:
        """Where, counted from 1, and what may have been meant. Never the text: it may name a patient."""
        return {"position": self.position, "suggestions": list(self.suggestions)}


class InvalidEvent(Invalid):
    """A pushed event cannot be understood."""

    hint = "Nothing of the batch was applied. Check that the node runs a version that this control plane knows."

    def __init__(self, sequence: int, why: str) -> None:
        super().__init__(f"event {sequence}: {why}" if sequence else why)
        self.sequence = sequence

    def details(self) -> Mapping[str, object]:
        """Which event."""
        return {"sequence": self.sequence}


class TokenMalformed(Invalid):
    """The enrolment token is not complete."""

    hint = "Copy the whole token: it starts with mesh1. and has five parts."


class TokenRefused(ControlError):
    """The enrolment token does not open the door."""


class TokenUnknown(TokenRefused):
    """The enrolment token is not known here."""

    hint = "Make a new one with `skerry-control token create SITE` at the mesh that the box shall join."


class TokenUsed(TokenRefused):
    """The enrolment token was used already."""

    hint = "A token works once. Make a new one; if nobody of yours used it, revoke the node that it made."


class TokenExpired(TokenRefused):
    """The enrolment token is too old."""

    hint = "Make a new one with `skerry-control token create SITE`."


class EnrolmentExpired(TokenExpired):
    """Nobody approved this box in time."""

    hint = "Make a new token with `skerry-control token create SITE`, and have somebody at hand who approves it."


class EnrolmentRejected(TokenRefused):
    """A person rejected this box."""

    hint = "Ask who runs the control plane. Another try needs a new token."


class Refused(ControlError):
    """The caller may not do this."""


class NotAuthenticated(Refused):
    """Nobody is logged in."""

    hint = "Log in, or send an API key as `Authorization: Bearer KEY`."


class WrongCredentials(Refused):
    """The user name or the password is wrong."""


class Forbidden(Refused):
    """Your role does not allow this."""

    hint = "Ask an administrator."


class CrossSiteRequest(Refused):
    """The request came from another web site."""

    hint = "Programs use an API key; browsers use the control plane's own pages."


class NodeRevoked(Refused):
    """This node was revoked."""

    hint = "Enrol the box again with a fresh token if it shall come back."


class TooManyAttempts(ControlError):
    """Too many attempts from this address."""

    def __init__(self, *, retry_after: int) -> None:
        super().__init__(hint=f"Try again in {retry_after} second{'' if retry_after == 1 else 's'}.")
        self.retry_after = retry_after

    def details(self) -> Mapping[str, object]:
        """When to come back."""
        return {"retry_after": self.retry_after}


class TooManyRequests(TooManyAttempts):
    """You ask faster than this control plane answers one caller."""


class LastAdministrator(Conflict):
    """Nobody would be left who may change anything."""

    hint = "Give the role admin to another user first."


class EnrolmentDecided(Conflict):
    """It was decided about this box already."""

    hint = "To let it in, make it a new token; to send it away, revoke the node."


class OnlyNode(Conflict):
    """No other node of this site is up and takes images."""

    hint = "Whoever sends there would find nobody. If that is meant, say even_alone=true (`--even-alone`)."


class LastPoolMember(Conflict):
    """Nobody else works behind a listener of the pool."""

    hint = "Whoever sends there would find nobody. If that is meant, say last=true (`--last`)."


class RequestUnderWay(Conflict):
    """A request with this Idempotency-Key has begun, and its answer is not known."""

    hint = "Wait, and send it again. When it stays so, look whether it happened, then use another key."


class KeyReused(Invalid):
    """This Idempotency-Key was used for another request."""

    hint = "Use a fresh key for each request; the same only to send the very same again."


class Busy(ControlError):
    """The control plane cannot do this right now."""

    hint = "Try again in a few seconds."


class DatabaseAway(Busy):
    """The control plane's database does not answer."""
