"""Data sets through transforms in memory, and pydicom as the judge of what came out."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from io import BytesIO

from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset

from edge.steps import Step, Transform
from edge.transform.apply import Transformed, apply
from edge.transform.elements import BytesOrigin, Coding
from edge.transform.failure import TransformFailed
from edge.transform.validity import tag_of
from edge.transform.writing import Piece

IMPLICIT, EXPLICIT = Coding(implicit=True, big=False), Coding(implicit=False, big=False)
BIG = Coding(implicit=False, big=True)
CODINGS = (IMPLICIT, EXPLICIT, BIG)
KEY = b"k" * 32


def step(kind: str, keyword: str = "", *, to: str = "", **more: object) -> Step:
    """A step about the attribute of this keyword."""
    tag, target = tag_of(keyword) if keyword else 0, tag_of(to) if to else 0
    assert tag is not None
    assert target is not None
    return Step(kind=kind, tag=tag, to=target, **more)  # type: ignore[arg-type]


def written(data_set: Dataset, coding: Coding) -> bytes:
    """As pydicom writes it."""
    stream = DicomBytesIO()
    stream.is_implicit_VR, stream.is_little_endian = coding.implicit, not coding.big
    write_dataset(stream, data_set)
    return stream.getvalue()


def read(raw: bytes, coding: Coding) -> Dataset:
    """As pydicom reads it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return read_dataset(BytesIO(raw), coding.implicit, not coding.big)


def transformed(raw: bytes, coding: Coding, steps: Sequence[Step], name: str = "t") -> Transformed:
    """What these steps make of it."""
    return apply(BytesOrigin(raw), coding, (Transform(name=name, steps=tuple(steps)),), lambda: KEY)


def assembled(raw: bytes, pieces: Sequence[Piece]) -> bytes:
    """The bytes that leave."""
    return b"".join(one if isinstance(one, bytes) else raw[one[0] : one[1]] for one in pieces)


def tried(raw: bytes, coding: Coding, steps: Sequence[Step]) -> bytes | TransformFailed:
    """The bytes that leave, or why none do."""
    try:
        return assembled(raw, transformed(raw, coding, steps).pieces)
    except TransformFailed as failure:
        return failure


def changed(data_set: Dataset, *steps: Step, coding: Coding = EXPLICIT) -> Dataset:
    """A data set after these steps, through bytes and back."""
    raw = written(data_set, coding)
    return read(assembled(raw, transformed(raw, coding, steps).pieces), coding)
