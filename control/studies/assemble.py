"""Rows to answers (pure)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from control.deliveries.changes import PROGRESS_BY_RANK, Progress
from control.deliveries.models import Delivery
from control.instances.models import StudySite
from control.studies.receptions import Reception
from control.studies.schemas import (
    DeliveryItem,
    DestinationItem,
    PatientItem,
    ReceptionItem,
    RouteReasonItem,
    StudyItem,
    StudySiteItem,
)
from control.studies.tallies import DestinationCount, ObjectCount


def study_item(
    uid: str,
    *,
    sites: Sequence[StudySite],
    modalities: Sequence[str],
    objects: Sequence[ObjectCount],
    destinations: Sequence[DestinationCount],
    received: Mapping[tuple[str, str], int],
) -> StudyItem:
    """One study from the rows that are about it."""
    counts = dict.fromkeys(Progress, 0)
    for count in objects:
        counts[PROGRESS_BY_RANK[count.unfinished]] += count.objects
    places = [
        StudySiteItem.model_validate(
            PatientItem.model_validate(one).model_dump()
            | {"site": one.site, "received": received.get((uid, one.site), 0)}
        )
        for one in sites
    ]
    shown = PatientItem.model_validate(sites[0]) if sites else PatientItem()
    span = {
        "first_received_at": min((one.first_received_at for one in places if one.first_received_at), default=None),
        "last_received_at": max((one.last_received_at for one in places if one.last_received_at), default=None),
    }
    return StudyItem(
        **(shown.model_dump() | span),
        study_instance_uid=uid,
        modalities=list(modalities),
        received=sum(counts.values()),
        delivered=counts[Progress.DELIVERED],
        waiting=counts[Progress.WAITING],
        parked=counts[Progress.PARKED],
        superseded=counts[Progress.SUPERSEDED],
        unrouted=counts[Progress.UNROUTED],
        sites=places,
        destinations=destination_items(destinations),
    )


def destination_items(counts: Sequence[DestinationCount]) -> list[DestinationItem]:
    """One item for each destination of each site."""
    items: dict[tuple[str, str], DestinationItem] = {}
    for count in counts:
        item = items.setdefault(
            (count.site, count.destination), DestinationItem(site=count.site, destination=count.destination)
        )
        progress = PROGRESS_BY_RANK[count.unfinished]
        setattr(item, progress.value, getattr(item, progress.value) + count.objects)
    return list(items.values())


def reception_item(reception: Reception, node_names: Mapping[str, str]) -> ReceptionItem:
    """One reception."""
    one = reception.instance
    return ReceptionItem(
        sop_instance_uid=one.sop_instance_uid,
        series_instance_uid=one.series_instance_uid,
        study_instance_uid=one.study_instance_uid,
        sop_class_uid=one.sop_class_uid,
        instance_id=one.instance_id,
        site=one.site,
        node_id=one.node_id,
        node_name=node_names.get(one.node_id, one.node_id),
        reported=one.received_at is not None,
        received_at=one.received_at,
        arrival=reception.number,
        arrivals=reception.of,
        calling_ae_title=one.calling_ae_title,
        called_ae_title=one.called_ae_title,
        peer_address=one.peer_address,
        transfer_syntax_uid=one.transfer_syntax_uid,
        data_set_bytes=one.data_set_bytes,
        policy=one.policy,
        reasons=[RouteReasonItem.model_validate(reason) for reason in one.reasons],
        flags=one.flags,
        tags=one.tags,
        progress=PROGRESS_BY_RANK[max((owed.unfinished for owed in reception.deliveries), default=-1)],
        deliveries=[delivery_item(owed) for owed in reception.deliveries],
    )


def delivery_item(one: Delivery) -> DeliveryItem:
    """One delivery."""
    return DeliveryItem(
        destination=one.destination,
        state=one.state,
        progress=PROGRESS_BY_RANK[one.unfinished],
        reason=one.reason,
        attempts=one.attempts,
        dimse_status=one.dimse_status,
        changed_at=one.occurred_at,
        delivered_at=one.delivered_at,
    )
