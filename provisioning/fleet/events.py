"""What a simulated edge has to tell: studies that it received and delivered, without an end."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime

from mesh.v1.sync_pb2 import DeliveryChanged, Event, InstanceReceived

_CT = "1.2.840.10008.5.1.4.1.1.2"
INSTANCES_OF_A_STUDY = 50


def events(node_number: int, *, seed: int = 1) -> Iterator[Event]:
    """An arrival and its delivery for each instance, numbered from 1; the same seed tells of the same studies."""
    chance = random.Random(f"{seed}:{node_number}")
    sequence, study_number = 0, 0
    while True:
        study_number += 1
        study = f"2.25.{chance.getrandbits(100)}"
        patient = f"SIM{chance.randrange(10**6):06d}"
        tags = {
            "PatientID": patient,
            "PatientName": f"SIMULATED^{patient}",
            "AccessionNumber": f"A{chance.randrange(10**8):08d}",
            "StudyDate": datetime.now(UTC).strftime("%Y%m%d"),
            "Modality": chance.choice(("CT", "MR", "CR", "US")),
        }
        series = f"{study}.1"
        for number in range(INSTANCES_OF_A_STUDY):
            instance_id, uid = uuid.UUID(int=chance.getrandbits(128)).hex, f"{series}.{number + 1}"
            received = InstanceReceived(
                instance_id=instance_id,
                sop_class_uid=_CT,
                sop_instance_uid=uid,
                study_instance_uid=study,
                series_instance_uid=series,
                transfer_syntax_uid="1.2.840.10008.1.2.1",
                data_set_bytes=524_288,
                calling_ae_title=f"CT{node_number % 7}",
                called_ae_title="SKERRY",
                peer_address="10.0.0.9",
                tags=tags,
                policy="1.1",
                destinations=["pacs"],
            )
            received.received_at.GetCurrentTime()
            delivered = DeliveryChanged(
                instance_id=instance_id,
                sop_instance_uid=uid,
                study_instance_uid=study,
                destination="pacs",
                state="delivered",
                attempts=1,
            )
            for event in (Event(instance_received=received), Event(delivery_changed=delivered)):
                sequence += 1
                event.sequence = sequence
                event.occurred_at.GetCurrentTime()
                yield event
