"""Templates of file names and object keys: what may stand in one, and the name that an instance gets (pure).

A name never leaves its folder or prefix: only UIDs and our own id are filled in, and a value that is no UID is
replaced before it gets there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from edge.model import DEFAULT_TEMPLATE

FIELDS: Mapping[str, int] = {"StudyInstanceUID": 64, "SeriesInstanceUID": 64, "SOPInstanceUID": 64, "InstanceId": 32}
"""What may stand in braces, and the longest that it becomes."""
UNIQUE = ("SOPInstanceUID", "InstanceId")
_LONGEST_PART = 255 - 33
"""File systems take 255 bytes; our id may come behind the name."""
_SAFE_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
_PIECE = re.compile(r"\{([^{}/]*)\}")
_STRANGE = re.compile(r"[^A-Za-z0-9._=+@/-]")


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateFault:
    """Something in a template that cannot stay."""

    column: int
    """From 1, inside the template."""
    message: str
    hint: str


def faults_of(template: str) -> tuple[TemplateFault, ...]:
    """Everything that is wrong with a template; nothing when it may be used."""
    found = [*_faulty_pieces(template), *_faulty_parts(template)]
    if not found and not set(UNIQUE) & set(_PIECE.findall(template)):
        message = "the template gives all instances of a series the same name"
        found.append(TemplateFault(column=1, message=message, hint="Put {SOPInstanceUID} or {InstanceId} into it."))
    return tuple(sorted(found, key=lambda fault: fault.column))


def _faulty_pieces(template: str) -> Iterator[TemplateFault]:
    known = ", ".join(f"{{{name}}}" for name in FIELDS)
    for match in _PIECE.finditer(template):
        if match[1] not in FIELDS:
            message = f"the template has no field `{{{match[1]}}}`"
            yield TemplateFault(column=match.start() + 1, message=message, hint=f"Known fields: {known}.")
    literal = _PIECE.sub(lambda match: "x" * len(match[0]), template)
    strange = _STRANGE.search(literal)
    if strange is not None:
        brace = strange[0] in "{}"
        message = f"`{strange[0]}` has no partner" if brace else f"{strange[0]!r} may not stand in a template"
        hint = f"Known fields: {known}." if brace else "Use letters, digits, `.`, `_`, `-`, `=`, `+`, `@` and `/`."
        yield TemplateFault(column=strange.start() + 1, message=message, hint=hint)


def _faulty_parts(template: str) -> Iterator[TemplateFault]:
    column = 1
    for number, part in enumerate(template.split("/")):
        message = ""
        if not part:
            message = "the template begins with `/`" if not number and template else "the template has an empty part"
        elif part in {".", ".."}:
            message = f"`{part}` would leave the place that the template stands for"
        elif part.startswith("."):
            message = "a part that begins with a point is hidden"
        elif len(_PIECE.sub(lambda match: "x" * FIELDS.get(match[1], 0), part)) > _LONGEST_PART:
            message = f"this part can become longer than {_LONGEST_PART} characters"
        if message:
            hint = f"Write names between single slashes, such as {DEFAULT_TEMPLATE}."
            yield TemplateFault(column=column, message=message, hint=hint)
        column += len(part) + 1


def names_of(template: str, *, study: str, series: str, instance: str, own_id: str) -> tuple[str, str]:
    """The name that an instance gets, and the one that it gets when another object has the first already."""
    values = {
        "StudyInstanceUID": _safe(study, "no-study"),
        "SeriesInstanceUID": _safe(series, "no-series"),
        "SOPInstanceUID": _safe(instance, own_id),
        "InstanceId": own_id,
    }
    plain = _PIECE.sub(lambda match: values[match[1]], template)
    before, ending = _split_ending(template)
    beside = _PIECE.sub(lambda match: values[match[1]], before)
    return plain, f"{beside}_{own_id}{ending}"


def _split_ending(template: str) -> tuple[str, str]:
    """What stands before the ending, such as `.dcm`, and the ending. The points of a UID are none."""
    last = max(template.rfind("}"), template.rfind("/")) + 1
    point = template.rfind(".", last)
    return (template[:point], template[point:]) if point >= 0 else (template, "")


def _safe(uid: str, otherwise: str) -> str:
    return uid if len(uid) <= 64 and _SAFE_UID.fullmatch(uid) else otherwise
