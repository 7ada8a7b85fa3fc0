"""Every error that the edge raises on purpose.

    EdgeError                      something the edge can name; `hint` says what to do
    ├── SettingsError              the configuration cannot be used
    ├── DataDirInUse               another process owns this data directory
    ├── SpoolError
    │   ├── SpoolFull              free space is under the watermark, or the disk said so
    │   ├── SealBroken             a spool file's content is not what was sealed
    │   └── SpoolFileMissing       the index names a file that is not there
    ├── UnknownInstance            no such instance or delivery
    ├── IllegalTransition          a delivery cannot take this event in its state
    ├── PolicyError                a policy document that must not run; carries its diagnostics
    │   └── PolicySignatureInvalid
    ├── EnrolmentError             the box did not become a node; `code` for field technicians
    └── UplinkError
        ├── UplinkUnreachable      no answer; try again later
        └── UplinkRefused          the control plane said no; a person is needed
            └── UplinkInvalid      it cannot read what was sent; the same again is useless

The class docstring is the message when none is given.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


class EdgeError(Exception):
    """Something went wrong on this edge node."""

    hint: str = ""

    def __init__(self, message: str | None = None, *, hint: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())
        if hint is not None:
            self.hint = hint


class SettingsError(EdgeError):
    """The configuration cannot be used."""


class DataDirInUse(EdgeError):
    """Another process owns this data directory."""

    hint = "Stop the other skerry-edge, or give this one a --data-dir of its own."


class SpoolError(EdgeError):
    """The spool could not do what was asked."""


class SpoolFull(SpoolError):
    """The spool's disk has no room left; new images are refused so that their sender keeps them."""

    hint = "Free disk space, or bring the destinations back so that delivered images can be released."


class SealBroken(SpoolError):
    """The content of a spool file is not what was sealed."""

    hint = "Check the disk. The file is kept: where it was, or in the spool's `damaged` folder."


class SpoolFileMissing(SpoolError):
    """The index names a spool file that is not there."""

    hint = "Restore the spool, or ask the modality to send the study again."


class UnknownInstance(EdgeError):
    """Nothing is known here under this UID or id."""


class IllegalTransition(EdgeError):
    """A delivery cannot take this event in its present state."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnostic:
    """One finding in a policy document, at the place in the YAML file where it can be mended."""

    severity: Literal["error", "warning"]
    line: int
    """From 1; 0 when the finding has no place in a file."""
    column: int
    """From 1, in characters; 0 when the finding has no place in a file."""
    message: str
    hint: str = ""
    """What to write instead, when that is known."""


class PolicyError(EdgeError):
    """The policy document must not run."""

    hint = "Run `skerry-edge policy check FILE` and mend the lines that it names."

    def __init__(
        self, message: str | None = None, *, hint: str | None = None, diagnostics: tuple[Diagnostic, ...] = ()
    ) -> None:
        super().__init__(message, hint=hint)
        self.diagnostics = diagnostics


class PolicySignatureInvalid(PolicyError):
    """The policy is not signed by this node's control plane for this site."""

    hint = "The policy that ran before stays in force. Check that the node is enrolled in the right mesh."


class EnrolmentError(EdgeError):
    """The box could not be enrolled."""

    def __init__(self, code: str, message: str, *, hint: str) -> None:
        super().__init__(message, hint=hint)
        self.code = code


class UplinkError(EdgeError):
    """The control plane could not be used."""


class UplinkUnreachable(UplinkError):
    """The control plane does not answer; the site goes on and tries again."""

    def __init__(self, message: str | None = None, *, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        """Seconds that the other side asked us to wait, 0 when it did not."""


class UplinkRefused(UplinkError):
    """The control plane refused this node."""


class UplinkInvalid(UplinkRefused):
    """The control plane cannot read what this node sent."""

    hint = "Check that the node and the control plane run matching versions."
