"""Events as a node pushes them, for tests: sensible by default, every field open."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from mesh.v1 import sync_pb2

START = datetime(2025, 11, 20, 8, 0, tzinfo=UTC)

EPOCH = 0xF00D_0000_0000_0001
"""Above 2^63, as half of all random epochs are."""


def instance_id(number: int) -> str:
    """A node's own id."""
    return f"{number:032x}"


def moment(sequence: int) -> datetime:
    """Events happen a second apart."""
    return START + timedelta(seconds=sequence)


def received(sequence: int, number: int | None = None, *, study: str = "1.2.3", **fields: Any) -> sync_pb2.Event:
    """`InstanceReceived` of object `number` (by default its own for each sequence)."""
    number = sequence if number is None else number
    body = sync_pb2.InstanceReceived(
        instance_id=instance_id(number),
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        sop_instance_uid=f"{study}.1.{number}",
        study_instance_uid=study,
        series_instance_uid=f"{study}.1",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        data_set_bytes=524288,
        calling_ae_title="CT1",
        called_ae_title="SKERRY",
        peer_address="10.0.0.7",
        tags={"PatientID": "P-1", "PatientName": "DOE^JANE", "Modality": "CT", "StudyDate": "20261120",
              "AccessionNumber": "A-17", "StudyDescription": "CT head"},
        policy="1.4",
        reasons=[sync_pb2.RouteReason(route="all-ct", matched=True, reason="Modality is CT")],
        destinations=["pacs"],
    )  # fmt: skip
    at = fields.pop("at", moment(sequence))
    body.received_at.FromDatetime(at)
    for name, value in fields.items():
        if name == "tags":
            body.tags.clear()
            body.tags.update(value)
        elif name in {"destinations", "flags"}:
            del getattr(body, name)[:]
            getattr(body, name).extend(value)
        else:
            setattr(body, name, value)
    event = sync_pb2.Event(sequence=sequence, instance_received=body)
    event.occurred_at.FromDatetime(at)
    return event


def changed(
    sequence: int, number: int, state: str, *, destination: str = "pacs", study: str = "1.2.3", **fields: Any
) -> sync_pb2.Event:
    """`DeliveryChanged` of object `number`."""
    at = fields.pop("at", moment(sequence))
    body = sync_pb2.DeliveryChanged(
        instance_id=instance_id(number),
        sop_instance_uid=fields.pop("sop_instance_uid", f"{study}.1.{number}"),
        study_instance_uid=study,
        destination=destination,
        state=state,
        **fields,
    )
    event = sync_pb2.Event(sequence=sequence, delivery_changed=body)
    event.occurred_at.FromDatetime(at)
    return event


def batch(events: Iterable[sync_pb2.Event], *, epoch: int = EPOCH, boot_id: str = "b1") -> sync_pb2.PushBatchRequest:
    """The request that carries them."""
    return sync_pb2.PushBatchRequest(epoch=epoch, events=events, boot_id=boot_id)
