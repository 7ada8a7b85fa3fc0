"""What steps would change in an object that is held: shown before anything is mended."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edge.buffer.spool import Spool
from edge.forward.rendition import open_rendition
from edge.model import ClaimedDelivery, SealedInstance, TagSet
from edge.steps import Transform
from edge.tags import read_tags
from edge.transform.validity import name_of


def told(transform: Transform) -> str:
    """What a transform does, without a value: `set of PatientID, charset`."""
    return ", ".join(
        f"{step.kind} of {name_of(step.to or step.tag)}" if step.tag else step.kind for step in transform.steps
    )


def preview(
    data_dir: Path, held: Sequence[SealedInstance], transform: Transform, *, with_values: bool
) -> list[dict[str, Any]]:
    """For each instance the keywords that change; with their values only when they were asked for: patient data.

    Raises:
        TransformFailed: the steps cannot be carried out on one of them.
        SpoolError: a file is not there or was damaged.
    """
    spool = Spool(data_dir / "spool")
    found = []
    for sealed in held:
        before, after = _tags(spool, sealed, ()), _tags(spool, sealed, (transform,))
        changed = sorted(key for key in before.values.keys() | after.values.keys() if _differs(key, before, after))
        lines = [f"{key}: {_shown(before, key)} -> {_shown(after, key)}" if with_values else key for key in changed]
        found.append({"sop_instance_uid": sealed.sop_instance_uid, "changed": lines})
    return found


def _tags(spool: Spool, sealed: SealedInstance, fix: tuple[Transform, ...]) -> TagSet:
    delivery = ClaimedDelivery(
        delivery_id=0,
        destination="",
        attempts=0,
        sealed=sealed,
        study_instance_uid="",
        series_instance_uid="",
        fix=fix,
    )
    with open_rendition(spool, delivery) as rendition:
        return read_tags(io.BufferedReader(rendition), transfer_syntax_uid=sealed.transfer_syntax_uid)


def _differs(key: str, before: TagSet, after: TagSet) -> bool:
    return before.values.get(key) != after.values.get(key)


def _shown(tags: TagSet, key: str) -> str:
    value = tags.values.get(key)
    return "nothing" if value is None else str(value)
