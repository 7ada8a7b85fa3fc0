"""Every error that skerry-haproxy raises on purpose.

    HaproxyError                   something the manager can name; `hint` says what to do
    ├── SettingsError              it was asked for in the wrong way
    ├── DataDirInUse               another manager owns this data directory
    ├── ManagerAway                no manager runs on this data directory
    ├── UnknownNode                no member of a pool has this name
    ├── LastMember                 a drain would leave a pool without a healthy member
    ├── ConfigurationRejected      HAProxy does not take it; carries HAProxy's own words
    └── SocketError
        ├── SocketGone             nobody answers there, or not in time
        ├── AnswerGarbled          an answer came that is not whole or cannot be read
        └── CommandRefused         HAProxy said no; carries its words

The class docstring is the message when none is given.
"""

from __future__ import annotations

from typing import Literal


class HaproxyError(Exception):
    """Something went wrong beside HAProxy."""

    hint: str = ""

    def __init__(self, message: str | None = None, *, hint: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())
        if hint is not None:
            self.hint = hint


class SettingsError(HaproxyError):
    """The command cannot be carried out as it was given."""


class DataDirInUse(HaproxyError):
    """Another skerry-haproxy owns this data directory."""

    hint = "Stop the other one, or give this one a --data-dir of its own."


class ManagerAway(HaproxyError):
    """No skerry-haproxy runs on this data directory."""

    hint = "Start it with `skerry-haproxy run --data-dir DIR`, or give the --data-dir of the one that runs."


class UnknownNode(HaproxyError):
    """No member of a pool has this name."""

    hint = "`skerry-haproxy status` names the members."


class LastMember(HaproxyError):
    """The pool would be left without a healthy member, and modalities would be turned away."""

    hint = "Bring another member back first, or say --last to do it all the same."


class ConfigurationRejected(HaproxyError):
    """HAProxy does not take this configuration; the one before goes on."""

    hint = "HAProxy's words are above. `skerry-haproxy check FILE` tries a pool file without a manager."

    def __init__(
        self, words: str, *, code: Literal["check_failed", "reload_failed", "not_verified", "away"] = "check_failed"
    ) -> None:
        super().__init__(words)
        self.code: Literal["check_failed", "reload_failed", "not_verified", "away"] = code


class SocketError(HaproxyError):
    """HAProxy could not be spoken to."""


class SocketGone(SocketError):
    """HAProxy does not answer on its socket."""

    hint = "Look whether HAProxy runs; the manager starts its own again by itself."


class AnswerGarbled(SocketError):
    """HAProxy's answer was cut off or cannot be read."""


class CommandRefused(SocketError):
    """HAProxy refused a command."""
