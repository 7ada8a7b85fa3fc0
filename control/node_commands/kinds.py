"""What can be asked of a node, and what each kind needs: checked here, so that a mistake is told at once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches

from control.errors import InvalidCommand

_WHOLE = re.compile(r"[0-9]{1,9}", re.ASCII)
_TEXT = re.compile(r"[^\x00-\x1f\x7f\u2028\u2029\ud800-\udfff]{1,200}")
_UID = re.compile(r"[0-9.]{1,64}|[0-9a-f]{32}", re.ASCII)
_LINES = re.compile(r"[1-9][0-9]{0,2}|1000", re.ASCII)
_LEVEL = re.compile(r"debug|info|warning|error|critical")
_TRUE = re.compile(r"true")
_STATE = re.compile(r"[a-z_]{1,20}", re.ASCII)
_AE_TITLE = re.compile(r"[\x20-\x5b\x5d-\x7e]{1,16}", re.ASCII)

_CHOICE: Mapping[str, re.Pattern[str]] = {
    "uid": _UID,
    "destination": _TEXT,
    "state": _STATE,
    "calling_ae_title": _AE_TITLE,
    "route": _TEXT,
    "older_seconds": _WHOLE,
    "reason_has": _TEXT,
    "all": _TRUE,
}
"""Which deliveries are meant: those that meet all of these."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of command."""

    meaning: str
    arguments: Mapping[str, re.Pattern[str]] = field(default_factory=dict)
    needed: frozenset[str] = frozenset()
    chooses: bool = False
    """It is about deliveries: at least one argument says which."""


KINDS: Mapping[str, Kind] = {
    "release": Kind(
        meaning="Try deliveries again now, whatever they wait for.",
        arguments={**_CHOICE, "dry_run": _TRUE},
        chooses=True,
    ),
    "hold": Kind(
        meaning="Hold deliveries back until they are released.",
        arguments={**_CHOICE, "reason": _TEXT, "dry_run": _TRUE},
        chooses=True,
    ),
    "reroute": Kind(
        meaning="Send deliveries to another destination instead.",
        arguments={**_CHOICE, "to": _TEXT, "dry_run": _TRUE},
        needed=frozenset({"to"}),
        chooses=True,
    ),
    "echo": Kind(
        meaning="Ask a DICOM destination from that node whether it answers (C-ECHO).",
        arguments={"destination": _TEXT},
        needed=frozenset({"destination"}),
    ),
    "support-bundle": Kind(meaning="Give what the node knows of itself, for support. No patient data."),
    "outage-drill": Kind(
        meaning="Cut the node off from the centre on purpose, and tell what came of it.",
        arguments={"seconds": _WHOLE},
        needed=frozenset({"seconds"}),
    ),
    "drain": Kind(
        meaning="Take no new associations and deliver what is held, until it is ended.",
        arguments={"end": _TRUE, "reason": _TEXT, "even_alone": _TRUE, "dry_run": _TRUE},
    ),
    "log-tail": Kind(
        meaning="Give the last lines of the node's log. No patient data.",
        arguments={"lines": _LINES, "level": _LEVEL},
    ),
}
"""By the word on the wire."""


def checked(kind: str, arguments: Mapping[str, str]) -> Mapping[str, str]:
    """The arguments of a command that a node will understand.

    Raises:
        InvalidCommand: everything that is wrong with it, in one sentence.
    """
    known = KINDS.get(kind)
    if known is None:
        raise InvalidCommand(f"There is no command {kind[:40]!r}.", hint=_nearest(kind, KINDS))
    wrong = [_unknown(name, known) for name in arguments if name not in known.arguments]
    wrong += [
        f"`{name}` has a value that cannot be used."
        for name, value in arguments.items()
        if name in known.arguments and known.arguments[name].fullmatch(value) is None
    ]
    wrong += [f"`{name}` is needed." for name in sorted(known.needed - arguments.keys())]
    if known.chooses and not any(name in _CHOICE for name in arguments):
        wrong.append("It is not said which deliveries: name some, or say all=true.")
    if "all" in arguments and len(arguments.keys() & _CHOICE.keys()) > 1:
        wrong.append("all=true means everything: leave it out, or leave the other choices out.")
    if wrong:
        raise InvalidCommand(" ".join(wrong), hint=f"{kind} takes: {', '.join(known.arguments) or 'nothing'}.")
    return dict(arguments)


def _unknown(name: str, kind: Kind) -> str:
    near = get_close_matches(name, kind.arguments, n=1)
    return f"`{name[:40]}` is not known." + (f" Is `{near[0]}` meant?" if near else "")


def _nearest(word: str, known: Mapping[str, Kind]) -> str:
    near = get_close_matches(word, known, n=1)
    return f"Is {near[0]} meant?" if near else f"There are: {', '.join(known)}."
