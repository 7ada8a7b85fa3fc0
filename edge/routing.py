"""Routing: an instance in custody gets its tags read, its decision made, and its row committed.

An instance is in custody before this stage knows of it, so nothing here can lose one: a failure leaves the sealed
file, and the next try, or the next start, takes it up again through this same code.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

import structlog

from edge import metrics
from edge.buffer.store import Buffer
from edge.health import BUFFER_FAILING, HealthBoard
from edge.host_addresses import HostAddresses
from edge.model import Decision, RoutedInstance, SealedInstance, TagSet
from edge.policy.document import Policy
from edge.policy.match import decide
from edge.policy.origins import Origins, hosts_of
from edge.policy.placing import placed
from edge.policy.privacy import shared_tags, shared_uid
from edge.tags import read_file_tags

log = structlog.get_logger(__name__)
BATCH = 256
RETRY_SECONDS = 1.0
READ_TRIES = 3
STUCK_SECONDS = 180.0
"""A batch of 64 headers takes milliseconds; a disk that holds it for so long will not give it back by itself."""
TIDY_SECONDS = 60.0
_INTEGER_STRINGS = 1 << 31
"""PS3.5 Table 6.2-1: an IS is in this range."""
UNDECIDED = Decision(policy="", outcomes=(), destinations=())


def _nothing() -> None:
    """For a router that hears of everything."""


class Router:
    """One thread between the arrivals and the rows."""

    def __init__(
        self,
        buffer: Buffer,
        health: HealthBoard,
        policy: Callable[[], Policy | None],
        pseudonym_key: bytes,
        *,
        look: Callable[[], None] = _nothing,
        tidy: Callable[[], None] = _nothing,
        inflow: Callable[[int], None] = lambda _: None,
        site: str = "",
        addresses: HostAddresses | None = None,
    ) -> None:
        """`look` finds, and admits, what is in the spool and was never told of; `tidy` saves the next start work.

        `inflow` hears how many bytes came in. `addresses` knows where the names of destinations lead.
        """
        self._inflow, self._site = inflow, site
        self._buffer, self._health, self._policy, self._key = buffer, health, policy, pseudonym_key
        self._look, self._tidy, self._tidied = look, tidy, time.monotonic()
        self._stopping = threading.Event()
        self._asked_to_look = threading.Event()
        self._turned = time.monotonic()
        self._retry_at = 0.0
        self._addresses = addresses or HostAddresses()
        self._origins: tuple[Policy | None, int, Origins] = (None, 0, Origins(()))
        self._thread = threading.Thread(target=self._run, name="router", daemon=True)

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """Commit what has arrived, then end; what does not fit into `timeout` seconds is adopted at the next start."""
        self._stopping.set()
        self._addresses.stop()
        self._thread.join(timeout)

    def alive(self) -> bool:
        """Whether the thread still works, and has not hung for minutes in one and the same batch."""
        return self._thread.is_alive() and time.monotonic() - self._turned < STUCK_SECONDS

    def look_again(self) -> None:
        """Look through the spool soon: a process that received has died, or could not tell all that came."""
        self._asked_to_look.set()

    def admit(self, arrivals: Sequence[SealedInstance]) -> int:
        """Route these instances and commit their rows together; return how many changed.

        Without a policy they get a row that says so, and are routed when one comes.
        """
        policy = self._policy()
        return self._buffer.admit([self._route(one, policy) for one in arrivals])

    def _run(self) -> None:
        left: list[SealedInstance] = []
        while True:
            self._turned = time.monotonic()
            self._look_if_asked()
            more = self._unrouted()
            arrivals = self._buffer.next_arrivals(BATCH, timeout=0.0 if more else 0.5)
            if not arrivals and self._stopping.is_set():
                return
            if arrivals:
                self._inflow(sum(one.data_set_length for one in arrivals))
            if left and time.monotonic() >= self._retry_at:
                arrivals, left = left[:BATCH] + arrivals, left[BATCH:]
            left += self._commit(arrivals)
            left += self._commit(more)

    def _look_if_asked(self) -> None:
        """Here, because nothing else may admit at the same time."""
        if self._stopping.is_set():
            return
        try:
            if self._asked_to_look.is_set():
                self._asked_to_look.clear()
                self._look()
            elif time.monotonic() - self._tidied > TIDY_SECONDS:
                self._tidied = time.monotonic()
                self._tidy()
        except Exception:
            log.exception("routing.look_failed", hint="The next start finds what this look did not.")

    def _unrouted(self) -> list[SealedInstance]:
        """Rows that wait for a policy, once there is one."""
        if self._policy() is None or self._stopping.is_set() or time.monotonic() < self._retry_at:
            return []
        try:
            return self._buffer.unrouted(BATCH)
        except Exception:
            log.exception("routing.unrouted_unreadable")
            return []

    def _commit(self, arrivals: Sequence[SealedInstance]) -> Sequence[SealedInstance]:
        """Commit these together, or, when that fails, each alone; return what is left to be tried again."""
        if not arrivals:
            return ()
        failed = self._failing(arrivals)
        if len(failed) > 1:
            failed = [one for one in arrivals if self._failing([one])]
        if failed:
            self._retry_at = time.monotonic() + RETRY_SECONDS
            self._health.raise_condition(BUFFER_FAILING)
        else:
            self._health.clear(BUFFER_FAILING.code)
        return failed

    def _failing(self, arrivals: Sequence[SealedInstance]) -> Sequence[SealedInstance]:
        try:
            self.admit(arrivals)
        except Exception:
            log.exception("routing.commit_failed", instances=len(arrivals))
            return arrivals
        return ()

    def _route(self, sealed: SealedInstance, policy: Policy | None) -> RoutedInstance:
        tags = self._read(sealed)
        for flag in tags.flags:
            metrics.INSTANCES_FLAGGED.labels(flag=flag.partition(":")[0]).inc()
        return RoutedInstance(
            sealed=sealed,
            study_instance_uid=_uid(tags, "StudyInstanceUID"),
            series_instance_uid=_uid(tags, "SeriesInstanceUID"),
            decision=self._decide(policy, sealed, tags) if policy else UNDECIDED,
            flags=tags.flags,
            instance_number=_number(tags, "InstanceNumber"),
            shared_tags=self._shared(policy, sealed, tags) if policy else {},
            origins=self._origins_of(policy).of(sealed.facts) if policy else {},
        )

    def _decide(self, policy: Policy, sealed: SealedInstance, tags: TagSet) -> Decision:
        return decide(policy, placed(policy, sealed.facts, site=self._site, received_at=sealed.received_at), tags)

    def _origins_of(self, policy: Policy) -> Origins:
        if self._origins[0] is not policy:
            self._addresses.follow(hosts_of(policy.destinations))
        version = self._addresses.version
        if self._origins[0] is not policy or self._origins[1] != version:
            self._origins = (policy, version, Origins(policy.destinations, self._addresses.of))
        return self._origins[2]

    def _shared(self, policy: Policy, sealed: SealedInstance, tags: TagSet) -> dict[str, str]:
        shared = shared_tags(policy, tags, self._key)
        # What the command named is the instance, also when its data set names none.
        uid = shared_uid(policy, "SOPInstanceUID", sealed.sop_instance_uid, self._key)
        return {**shared, "SOPInstanceUID": uid} if uid else shared

    def _read(self, sealed: SealedInstance) -> TagSet:
        for _try in range(READ_TRIES):
            try:
                with self._buffer.spool.open_slot(sealed) as file:
                    return read_file_tags(
                        file,
                        offset=sealed.data_set_offset,
                        length=sealed.data_set_length,
                        transfer_syntax_uid=sealed.transfer_syntax_uid,
                    )
            except OSError:
                self._stopping.wait(0.2)  # a disk that hesitates must not change where an image goes
            except Exception:
                log.exception("routing.tags_unreadable", instance_id=sealed.instance_id)
                break
        # Whatever a reader chokes on, the instance goes on: rules that need no tags still match.
        return TagSet(values={}, flags=("unreadable-header",))


def _number(tags: TagSet, keyword: str) -> int | None:
    value = tags.values.get(keyword)
    return value if isinstance(value, int) and abs(value) < _INTEGER_STRINGS else None


def _uid(tags: TagSet, keyword: str) -> str:
    value = tags.values.get(keyword, "")
    return value if isinstance(value, str) else ""
