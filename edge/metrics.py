"""Every metric that the edge exposes, declared once. Labels are bounded by configuration; no UIDs, no patient data."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

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
OPEN_ASSOCIATIONS = Gauge("skerry_edge_open_associations", "Associations open now.", registry=REGISTRY)
CUSTODY_SECONDS = Histogram(
    "skerry_edge_custody_seconds",
    "From the complete data set to the answer.",
    buckets=(0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5),
    registry=REGISTRY,
)
INSTANCES_ADOPTED = Counter(
    "skerry_edge_instances_adopted_total", "Sealed files found at start without a row.", registry=REGISTRY
)
DELIVERIES = Counter(
    "skerry_edge_deliveries_total", "Tries that ended, by outcome.", ["destination", "outcome"], registry=REGISTRY
)
DELIVERED_BYTES = Counter(
    "skerry_edge_delivered_bytes_total", "Data set bytes that a destination took.", ["destination"], registry=REGISTRY
)
DESTINATION_UP = Gauge(
    "skerry_edge_destination_up", "1 while the last contact went well.", ["destination"], registry=REGISTRY
)
INSTANCES_HELD = Gauge("skerry_edge_instances_held", "Instances in the spool.", registry=REGISTRY)
INSTANCES_NOWHERE = Gauge("skerry_edge_instances_nowhere", "Held instances without any destination.", registry=REGISTRY)
DELIVERIES_WAITING = Gauge("skerry_edge_deliveries_waiting", "Deliveries not yet delivered.", registry=REGISTRY)
DELIVERIES_PARKED = Gauge("skerry_edge_deliveries_parked", "Deliveries that wait for a person.", registry=REGISTRY)
OLDEST_WAITING_SECONDS = Gauge(
    "skerry_edge_oldest_waiting_seconds", "Age of the instance that waits longest.", registry=REGISTRY
)
OUTBOX_EVENTS = Gauge("skerry_edge_outbox_events", "Events not yet acknowledged centrally.", registry=REGISTRY)
SPOOL_FREE_BYTES = Gauge("skerry_edge_spool_free_bytes", "Free bytes on the spool's disk.", registry=REGISTRY)
HEALTH_CONDITIONS = Gauge(
    "skerry_edge_health_conditions", "Conditions that hold now.", ["code", "severity"], registry=REGISTRY
)
BUILD_INFO = Gauge("skerry_edge_build_info", "Always 1.", ["version"], registry=REGISTRY)
