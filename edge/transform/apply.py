"""Transforms applied to one data set (pure): what leaves, as new bytes and ranges of the original."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edge.steps import Step, Transform
from edge.transfer_syntaxes import BIG_ENDIAN, IMPLICIT
from edge.transform.elements import Coding, Level, Origin, Reader
from edge.transform.failure import Impossible, TransformFailed
from edge.transform.steps import IDENTITIES, SERIES_INSTANCE, SOP_INSTANCE, STUDY_INSTANCE, Subject, carry_out
from edge.transform.validity import name_of
from edge.transform.values import Texts
from edge.transform.writing import Piece, pieces


@dataclass(frozen=True, slots=True, kw_only=True)
class Transformed:
    """What becomes of a data set."""

    pieces: Sequence[Piece]
    sop_instance_uid: str | None
    """The new one; None where no step changed it. The same for the others."""
    study_instance_uid: str | None
    series_instance_uid: str | None


def coding_of(transfer_syntax_uid: str) -> Coding:
    """How the elements of a data set in this syntax are written, once it is inflated (PS3.5 Annex A)."""
    return Coding(implicit=transfer_syntax_uid in IMPLICIT, big=transfer_syntax_uid == BIG_ENDIAN)


def apply(origin: Origin, coding: Coding, transforms: Sequence[Transform], key: Callable[[], bytes]) -> Transformed:
    """What the transforms make of it, one after the other. The same original and key always give the same.

    Raises:
        TransformFailed: a step cannot be done; nothing may leave then.
    """
    reader = Reader(origin)
    try:
        level = reader.data_set(coding)
    except Impossible as error:
        raise TransformFailed(
            f"transform `{transforms[0].name}`: the data set cannot be read: {_told(error)}"
        ) from None
    subject, written = Subject(reader, level, key), pieces(level)
    for transform in transforms:
        for number, step in enumerate(transform.steps, start=1):
            try:
                carry_out(step, subject)
                written = pieces(level)
            except Impossible as error:
                raise TransformFailed(
                    f"transform `{transform.name}`, step {number} ({_described(step)}): {_told(error)}"
                ) from None
    hashed = {step.tag for transform in transforms for step in transform.steps if step.kind == "hash"}
    uids = {tag: _uid(reader, level, tag) if tag in hashed else None for tag in IDENTITIES}
    return Transformed(
        pieces=written,
        sop_instance_uid=uids[SOP_INSTANCE],
        study_instance_uid=uids[STUDY_INSTANCE],
        series_instance_uid=uids[SERIES_INSTANCE],
    )


def _uid(reader: Reader, level: Level, tag: int) -> str:
    element = level.find(tag)
    return Texts(reader, level).read(element)[0] if element is not None else ""


def _described(step: Step) -> str:
    return f"`{step.kind}` of {name_of(step.to or step.tag)}" if step.tag else f"`{step.kind}`"


def _told(error: Impossible) -> str:
    return f"{name_of(error.tag)}: {error}" if error.tag is not None else str(error)
