"""What the manager and its link to the control plane say to each other. Plain facts; no HAProxy, no network.

The link calls `offer` with what came and was verified, tells the outcome, and sends `report` whenever
`wait_for_change` says that there is something new.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, Protocol

from mesh.pools import PoolsDocument, State

Code = Literal["invalid", "check_failed", "reload_failed", "not_verified", "outdated", "cannot_be_kept", "away"]
"""Why a document was refused."""


class Severity(StrEnum):
    """HIGH: modalities are or may be turned away. MEDIUM: a person should look today. LOW: good to know."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """Something that is not as it should be, in words that a person can act on."""

    code: str
    severity: Severity
    text: str
    hint: str = ""
    subject: str = ""
    """What it is about, when there can be several: a member's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """HAProxy runs what this document asks for; it was checked, reloaded if needed, and read back."""

    order: int
    reloaded: bool
    """False: it asked for nothing that needs one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """HAProxy goes on with what it ran before."""

    order: int
    code: Code
    """`outdated`: an order at least as high runs here. `away` and `cannot_be_kept` may be offered again as they are;
    every other one is remembered, and the same bytes are refused again without a try."""
    words: str
    """Why, in HAProxy's own words where they are HAProxy's."""


Outcome = Applied | Rejected


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberReport:
    """One server of HAProxy as it is now: a node behind one listener of one pool."""

    pool: str
    listener: str
    node: str
    admin: State
    """What people, or hours of maintenance, made of it."""
    up: bool
    """Whether HAProxy gives it new associations when `admin` lets it."""
    status: str
    """HAProxy's own word, such as UP, DOWN or DRAIN."""
    sessions: int
    """Open ones, over all workers."""
    weight: int
    check: str
    """The result of the last health check, such as L7OK or L4CON."""
    check_words: str
    agent: str
    """What the node last said of itself, in HAProxy's words."""
    changed: int
    """When `status` last changed, seconds since 1970."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalWord:
    """What somebody at the site said of a node; it holds for all pools that have it."""

    node: str
    state: State | None
    """None: only the weight was said."""
    weight: int | None
    since: int
    """Seconds since 1970."""
    deadline: int = 0
    """When a drain becomes maint; 0: never by itself."""
    by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolsReport:
    """All that the manager knows; the centre shows it, and `skerry-haproxy status` prints it."""

    order: int
    """Of the document that runs; 0 for none, or a pool file without one."""
    origin: Literal["none", "file", "centre"]
    site: str
    haproxy_running: bool
    haproxy_version: str
    old_workers: int
    reloads: int
    """Since this manager was started."""
    last_reload: int
    """Seconds since 1970; 0 for none yet."""
    rejected: Rejected | None = None
    """The last document that was refused, while nothing newer was applied."""
    members: tuple[MemberReport, ...] = ()
    words: tuple[LocalWord, ...] = ()
    conditions: tuple[Condition, ...] = field(default=())


class PoolManager(Protocol):
    """What the link may do with the manager. Every call may come from any thread."""

    def offer(self, document: PoolsDocument, *, fingerprint: str) -> Outcome:
        """Make HAProxy do what a verified document asks for; returns when it does, or does not.

        It may wait for some seconds, because reloads are kept apart. `fingerprint` is the SHA-256 of the signed
        bytes in hex: what was refused is known again by it.
        """
        ...

    def report(self) -> PoolsReport:
        """What there is to tell now; costs nothing."""
        ...

    def wait_for_change(self, seconds: float) -> bool:
        """Whether something worth telling changed since the last call, waiting up to so long for it."""
        ...

    def tell_link(self, conditions: tuple[Condition, ...]) -> None:
        """What the link has to say of itself, for status and health; `()` when all is well."""
        ...
