"""The values that travel between the stages: frozen, keyword-only, without behaviour that does I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import IntEnum
from typing import Literal

from edge.steps import Transform
from edge.window import Window

TagValue = str | int | float | tuple[str, ...]
"""What a rule sees of an attribute: text, a whole number (IS, US, UL), a decimal (DS, FL, FD), or several texts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AssociationFacts:
    """Who sent, to whom, and through which door."""

    calling_ae_title: str
    called_ae_title: str
    peer_address: str
    """Host of the peer, without the port."""
    association: int = field(default=0, compare=False)
    """Its number while it is open (`edge/attendance.py`); 0 when nobody knows."""
    site: str = ""
    """Whose node took it. This and what follows are put beside the rest for a decision (`edge/policy/placing.py`)."""
    received_day: str = ""
    """mon to sun, in the policy's zone."""
    received_time: str = ""
    """HH:MM of 24 hours, in the policy's zone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedInstance:
    """One object in custody: a sealed spool file that would survive a power cut."""

    instance_id: str
    """Our own id: 32 hex digits of a UUIDv7, and the name of the spool file. Never a UID that the peer sent."""
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    facts: AssociationFacts
    received_at: datetime
    """Aware, UTC."""
    data_set_offset: int
    """Bytes from the start of the spool file to the data set."""
    data_set_length: int
    """Bytes of the data set exactly as it arrived."""
    checksum: int
    """CRC-32 of those bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TagSet:
    """What was read of a data set's header. An attribute that is absent or cannot be decoded has no value here."""

    values: Mapping[str, TagValue]
    """DICOM keyword -> value."""
    flags: tuple[str, ...] = ()
    """What was odd, for people: `undecodable:PatientName`, `unreadable-header`, `invalid-uid:SOPInstanceUID` …"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteOutcome:
    """Why one route took an instance, or did not."""

    route: str
    matched: bool
    reason: str
    """Plain words; names attributes but never their values."""


class Priority(IntEnum):
    """How urgent a delivery is. The lower number goes first."""

    STAT = 0
    NORMAL = 1
    BULK = 2

    @property
    def word(self) -> str:
        """As a policy and a person write it."""
        return self.name.lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """A route lets images go once their series or study is complete."""

    route: str
    scope: Literal["series", "study"]
    quiet: timedelta
    """Complete when nothing came for so long, and nobody is still sending it."""
    at_most: timedelta
    """Whatever comes, it goes so long after its first image."""
    missing: timedelta = timedelta(minutes=10)
    """While images that its modality announced are missing, nothing may have come for so long instead of `quiet`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What the policy says of one instance."""

    policy: str
    """Empty while there is none, `<generation>.<version>` of a signed policy, or `local:<sha256 prefix>`."""
    outcomes: tuple[RouteOutcome, ...]
    destinations: tuple[str, ...]
    """Names, each once, in the order of the policy."""
    replaces: bool = False
    """Whether older objects of the same SOP Instance UID, with other bytes, go to these destinations no more."""
    priorities: Mapping[str, Priority] = field(default_factory=dict)
    """How urgent each destination's delivery is; one that is not named here is normal."""
    waits: Mapping[str, Wait] = field(default_factory=dict)
    """What each destination's delivery waits for first; one that is not named here goes at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutedInstance:
    """An instance with its decision: what the buffer commits in one transaction."""

    sealed: SealedInstance
    study_instance_uid: str
    series_instance_uid: str
    decision: Decision
    flags: tuple[str, ...]
    shared_tags: Mapping[str, str] = field(default_factory=dict)
    """The tags that the site's privacy rule lets out, as text; multiple values joined by a backslash."""
    instance_number: int | None = None
    """Its place in its series, as far as its sender says; None when it says none."""
    origins: Mapping[str, bool] = field(default_factory=dict)
    """Destinations that the sender may be, and whether its AE title says so (`edge/policy/origins.py`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """How a peer is spoken to over TLS. Each file is an absolute path, or a name in the node's credentials."""

    ca: str
    """The only authorities to be trusted."""
    certificate: str = ""
    """Ours, for a peer that wants one; empty when it does not."""
    key: str = ""
    server_name: str = ""
    """The name that its certificate is for; empty for its host."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What the destinations that name it get together."""

    name: str
    bytes_per_second: int


DEFAULT_CALLING_AE_TITLE = "SKERRY"
SOURCE = "source"
"""As `calling_ae_title` of a destination: we call ourselves as each instance's sender did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DicomDestination:
    """A peer that takes C-STORE."""

    name: str
    host: str
    port: int
    ae_title: str
    calling_ae_title: str = DEFAULT_CALLING_AE_TITLE
    associations: int = 2
    """How many may be open to it at the same time, when the studies that wait for it are as many."""
    tls: Tls | None = None
    """None speaks DICOM in the clear."""
    verify: Literal["none", "find"] = "none"
    """How it is asked, after it has acknowledged an instance, whether it holds it."""
    decompress: bool = False
    """Whether what the peer does not take as it is stored goes there decompressed, as far as we can."""
    transforms: tuple[Transform, ...] = ()
    """What is done, in order, to everything that is sent there; the stored original stays as it is."""
    window: Window | None = None
    """The hours in which it may be sent to; None is always."""
    budget: Budget | None = None
    """The bytes in a second that it shares with others; None is as many as go."""


DEFAULT_TEMPLATE = "{StudyInstanceUID}/{SeriesInstanceUID}/{SOPInstanceUID}.dcm"
"""Where an instance lies in a folder or a bucket, unless the policy says otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderDestination:
    """A mounted folder that takes Part 10 files."""

    name: str
    path: str
    template: str = DEFAULT_TEMPLATE
    transforms: tuple[Transform, ...] = ()
    window: Window | None = None
    budget: Budget | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DicomWebDestination:
    """A service that takes STOW-RS (PS3.18 section 10.5)."""

    name: str
    url: str
    """The service root, without a slash at its end."""
    credentials: str = ""
    """Name of the file with user name and password or a token; empty when none is needed."""
    verify: Literal["none", "qido"] = "none"
    """How it is asked, after it has acknowledged an instance, whether it holds it."""
    ca: str = ""
    """Name of the file with the only authorities to be trusted; empty for those of the system."""
    transforms: tuple[Transform, ...] = ()
    window: Window | None = None
    budget: Budget | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Destination:
    """A bucket that takes Part 10 files."""

    name: str
    bucket: str
    endpoint: str = ""
    """URL of the service; empty for the one that the region has."""
    region: str = ""
    key: str = DEFAULT_TEMPLATE
    credentials: str = ""
    """Name of the file with the keys; empty for what the machine itself may do."""
    transforms: tuple[Transform, ...] = ()
    window: Window | None = None
    budget: Budget | None = None


Member = DicomDestination | FolderDestination | DicomWebDestination | S3Destination
"""A destination that may be one of a group."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupDestination:
    """Several destinations that stand for each other: one of them gets each instance."""

    name: str
    how: Literal["failover", "balance"]
    """The first that is well, in their order; or spread by study over those that are well."""
    members: tuple[Member, ...]
    window: Window | None = None


Destination = Member | GroupDestination


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedDelivery:
    """A delivery that a lane holds under a lease."""

    delivery_id: int
    destination: str
    attempts: int
    """Attempts so far, this one included: more than 1 means that an earlier one may have arrived."""
    sealed: SealedInstance
    study_instance_uid: str
    series_instance_uid: str
    priority: Priority = Priority.NORMAL
    """What it counts as now: one whose turn has come by its age counts as the most urgent."""
    fix: tuple[Transform, ...] = ()
    """What a person changed in this object, before what its destination changes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxEvent:
    """One event for the control plane, stored with the change of state that it tells of."""

    sequence: int
    kind: str
    """`instance_received` or `delivery_changed`: the message of that name in mesh/v1/sync.proto."""
    occurred_at: datetime
    body: Mapping[str, object]
    """The message's fields by their proto names (protobuf JSON with original names); times as RFC 3339 text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BufferCounts:
    """How full the buffer is, for status reports."""

    instances_held: int
    deliveries_waiting: int
    deliveries_parked: int
    deliveries_quarantined: int
    deliveries_held: int
    """Held back by a person."""
    instances_nowhere: int
    """Held, and without any destination: no route took them, or no policy is there yet."""
    oldest_waiting_seconds: int
    outbox_events: int
    standings: Mapping[str, int]
    """How many accepted instances stand where; together they are all of them that the index remembers."""
