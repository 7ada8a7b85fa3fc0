"""A policy that was checked and may run."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

from edge.model import Destination, Priority, Wait
from edge.policy.cel import Condition
from edge.watermarks import Watermarks

if TYPE_CHECKING:
    from mesh.pools import PoolModel

DEFAULT_SHARE: tuple[str, ...] = (
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "PatientID",
    "IssuerOfPatientID",
    "PatientName",
    "AccessionNumber",
    "StudyDate",
    "StudyTime",
    "StudyDescription",
    "SeriesDate",
    "SeriesTime",
    "SeriesNumber",
    "SeriesDescription",
    "InstanceNumber",
    "Modality",
    "BodyPartExamined",
    "InstitutionName",
    "StationName",
    "Manufacturer",
    "ManufacturerModelName",
    "NumberOfFrames",
)
"""What a study search needs, and no more. Birth date, sex, age, physicians and comments stay at the site."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Instances that meet the condition go to these destinations."""

    name: str
    when: str | None
    """The condition as written; None matches always."""
    to: tuple[str, ...]
    condition: Condition | None = field(compare=False, repr=False)
    priority: Priority = Priority.NORMAL
    wait: Wait | None = None
    """None sends each image at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Privacy:
    """What the control plane may learn. An attribute in neither set never leaves the site."""

    share: frozenset[str]
    """In clear text."""
    pseudonymise: frozenset[str]
    """As a keyed hash only; wins over `share`."""


Duplicates = Literal["keep-both", "replace", "refuse"]
"""What is done with an object whose SOP Instance UID is held already, with other bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A policy that was checked and may run; immutable, safe to share between threads."""

    label: str
    """`local:<first 12 hex digits of the document's SHA-256>`, or the label that `labelled` gave."""
    destinations: tuple[Destination, ...]
    routes: tuple[Route, ...]
    keep_delivered: timedelta
    privacy: Privacy
    duplicates: Duplicates = "keep-both"
    watermarks: Watermarks | None = None
    """Above the high one delivered studies leave before their time; None lets them stay until `keep_delivered`."""
    zone: str = ""
    """Whose clock tells `received_day` and `received_time`; a name of the IANA time zone database."""
    pools: tuple[PoolModel, ...] = ()
    """The site's HAProxy pools without addresses of members: for the centre and the manager, not for nodes."""
    around: tuple[str, ...] = ()
    """What of place and time some condition reads."""

    def labelled(self, label: str) -> Policy:
        """The same policy under another label, such as `3.17` for generation 3, version 17."""
        return replace(self, label=label)
