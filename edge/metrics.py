"""Every metric that the edge exposes, declared once. Labels are bounded by configuration; no UIDs, no patient data.

In a process of a node the values live in files that core sums up (`edge/exposition.py`), under the process's name
instead of its number: a process that was started again goes on counting where the dead one was.
"""

from __future__ import annotations

import contextlib
import os

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, values

PROCESS = os.environ.get("SKERRY_PROCESS", "")
"""The name of this process in its node; empty where everything is in one."""
_FILES = ("counter", "histogram", "gauge_livesum", "gauge_livemostrecent")
_FILE_BYTES = 1 << 16
"""What the library gives each file at first."""


def _allocate(folder: str, process: str) -> None:
    """Take the blocks of this process's files before there is a value in them.

    The library makes files with holes. When a disk is full, the first value that falls into a hole ends the process.
    """
    for kind in _FILES:
        with contextlib.suppress(OSError):
            descriptor = os.open(f"{folder}/{kind}_{process}.db", os.O_RDWR | os.O_CREAT, 0o600)
            try:
                os.posix_fallocate(descriptor, 0, _FILE_BYTES)
            finally:
                os.close(descriptor)


if PROCESS:
    _allocate(os.environ["PROMETHEUS_MULTIPROC_DIR"], PROCESS)
    values.ValueClass = values.MultiProcessValue(lambda: PROCESS)  # type: ignore[no-untyped-call]
REGISTRY = CollectorRegistry()

INSTANCES_ACCEPTED = Counter("skerry_edge_instances_accepted_total", "Instances taken into custody.", registry=REGISTRY)
BYTES_ACCEPTED = Counter("skerry_edge_accepted_bytes_total", "Data set bytes taken into custody.", registry=REGISTRY)
INSTANCES_REFUSED = Counter(
    "skerry_edge_instances_refused_total",
    "C-STORE requests that were not answered with success.",
    ["reason"],
    registry=REGISTRY,
)
INSTANCES_FLAGGED = Counter(
    "skerry_edge_instances_flagged_total", "Instances accepted although something was odd.", ["flag"], registry=REGISTRY
)
PARTIAL_OBJECTS = Counter(
    "skerry_edge_partial_objects_total", "Objects whose association broke before their end.", registry=REGISTRY
)
ASSOCIATIONS = Counter(
    "skerry_edge_associations_total", "Associations that ended, by how.", ["outcome"], registry=REGISTRY
)
OPEN_ASSOCIATIONS = Gauge(
    "skerry_edge_open_associations", "Associations open now.", registry=REGISTRY, multiprocess_mode="livesum"
)
CUSTODY_SECONDS = Histogram(
    "skerry_edge_custody_seconds",
    "From the complete data set to the answer.",
    buckets=(0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5),
    registry=REGISTRY,
)
ANNOUNCEMENTS = Counter(
    "skerry_edge_announcements_total",
    "Messages in which modalities name their images (MPPS, storage commitment), by what became of them.",
    ["kind", "outcome"],
    registry=REGISTRY,
)
COMMITMENTS = Counter(
    "skerry_edge_commitments_total",
    "Instances that modalities asked us to keep (storage commitment): committed, or failed because they are not here.",
    ["outcome"],
    registry=REGISTRY,
)
COMMITMENT_REPORTS = Counter(
    "skerry_edge_commitment_reports_total",
    "Reports of storage commitment, by what became of them: taken, or unreported for want of an address or an answer.",
    ["outcome"],
    registry=REGISTRY,
)
INSTANCES_ADOPTED = Counter(
    "skerry_edge_instances_adopted_total", "Sealed files found at start without a row.", registry=REGISTRY
)
INSTANCES_EVICTED = Counter(
    "skerry_edge_instances_evicted_total",
    "Delivered instances that left before their time because the disk was full.",
    registry=REGISTRY,
)
DELIVERIES = Counter(
    "skerry_edge_deliveries_total", "Tries that ended, by outcome.", ["destination", "outcome"], registry=REGISTRY
)
VERIFICATIONS = Counter(
    "skerry_edge_verifications_total",
    "What came of asking a destination for what it acknowledged: verified, not_yet, missing (sent again), parked or "
    "unanswered.",
    ["destination", "outcome"],
    registry=REGISTRY,
)
DELIVERED_BYTES = Counter(
    "skerry_edge_delivered_bytes_total", "Data set bytes that a destination took.", ["destination"], registry=REGISTRY
)
DESTINATION_UP = Gauge(
    "skerry_edge_destination_up",
    "1 while the last contact went well.",
    ["destination"],
    registry=REGISTRY,
    multiprocess_mode="livemostrecent",
)
MEMBER_UP = Gauge(
    "skerry_edge_member_up",
    "1 while a group's last contact with this member went well.",
    ["destination", "member"],
    registry=REGISTRY,
    multiprocess_mode="livemostrecent",
)


def _of_core(name: str, text: str) -> Gauge:
    """A fact of the whole node, which only core sets."""
    return Gauge(name, text, registry=REGISTRY, multiprocess_mode="livemostrecent")


INSTANCES_HELD = _of_core("skerry_edge_instances_held", "Instances in the spool.")
INSTANCES_NOWHERE = _of_core("skerry_edge_instances_nowhere", "Held instances without any destination.")
DELIVERIES_WAITING = _of_core("skerry_edge_deliveries_waiting", "Deliveries not yet delivered.")
DELIVERIES_PARKED = _of_core("skerry_edge_deliveries_parked", "Deliveries that were refused and wait for a person.")
DELIVERIES_QUARANTINED = _of_core("skerry_edge_deliveries_quarantined", "Deliveries of objects that need mending.")
DELIVERIES_HELD = Gauge(
    "skerry_edge_deliveries_by_state",
    "Every delivery that has a row, each in one state: gathering, due, sending, verifying, retry_wait, held, "
    "delivered, parked, quarantined, discarded or superseded.",
    ["state", "priority"],
    registry=REGISTRY,
    multiprocess_mode="livemostrecent",
)
INSTANCES_STANDING = Gauge(
    "skerry_edge_instances_by_standing",
    "Every accepted instance that the index remembers, each once, by the worst of its deliveries: waiting, "
    "quarantined, parked, delivered, or ended by a person or a newer object.",
    ["standing"],
    registry=REGISTRY,
    multiprocess_mode="livemostrecent",
)
GATHERING_GROUPS = _of_core(
    "skerry_edge_gathering_groups", "Series and studies that a route waits for and that are not complete yet."
)
GATHERED = Counter(
    "skerry_edge_gathered_total",
    "Series and studies that were waited for and went: all-here (as announced), quiet, missing (went without images "
    "that were announced), gaps (in the images' numbers, where nothing was announced), at-most (whatever came), or "
    "by-hand.",
    ["outcome"],
    registry=REGISTRY,
)
ANNOUNCED_MISSING = _of_core(
    "skerry_edge_announced_images_missing",
    "Images that modalities announced and that are not here, where a series or study went on without them in the last "
    "day.",
)
OLDEST_WAITING_SECONDS = _of_core("skerry_edge_oldest_waiting_seconds", "Age of the instance that waits longest.")
OUTBOX_EVENTS = _of_core("skerry_edge_outbox_events", "Events not yet acknowledged centrally.")
SPOOL_FREE_BYTES = _of_core("skerry_edge_spool_free_bytes", "Free bytes on the spool's disk.")
SLOT_BYTES_MISSING = _of_core(
    "skerry_edge_slot_bytes_missing", "Bytes of spool slots that are wanted and not prepared yet."
)
