"""Orthanc as the modality: it stores, asks for commitment, closes, and waits for the report at its own port."""

from __future__ import annotations

import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx2
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from provisioning.local.ports import LOOPBACK
from tests.edge_door import TunedEdge
from tests.edge_samples import CT
from tests.orthanc import PASSWORD, USER, Orthanc
from tests.real_programs import require

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def orthanc(tmp_path: Path) -> Iterator[Orthanc]:
    require("Orthanc")
    with Orthanc(tmp_path / "orthanc", DicomAet="CT01") as program:
        yield program


def _image() -> bytes:
    image = Dataset()
    image.SOPClassUID, image.SOPInstanceUID = CT, "1.2.3.7.1"
    image.StudyInstanceUID, image.SeriesInstanceUID, image.PatientID = "1.2.3.7", "1.2.3.7.0", "P1"
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    written = BytesIO()
    image.save_as(written, enforce_file_format=True)
    return written.getvalue()


def test_it_hears_what_is_committed_and_what_is_not(orthanc: Orthanc, tmp_path: Path) -> None:
    reports = [f"CT01@{LOOPBACK}:{orthanc.dicom_port}"]
    with (
        TunedEdge(tmp_path, commitment_reports=reports) as edge,
        httpx2.Client(
            base_url=f"http://{LOOPBACK}:{orthanc.port}", auth=(USER, PASSWORD), trust_env=False, timeout=60
        ) as client,
    ):
        peer = {"AET": "SKERRY", "Host": LOOPBACK, "Port": edge.dicom_port}
        assert client.put("/modalities/skerry", json=peer).status_code == 200
        held = client.post("/instances", content=_image()).json()["ID"]
        sent = client.post("/modalities/skerry/store", json={"Resources": [held], "StorageCommitment": True}).json()
        transaction = sent["StorageCommitmentTransactionUID"]
        assert _verdict(client, transaction)["Status"] == "Success"
        named = {"DicomInstances": [{"SOPClassUID": CT, "SOPInstanceUID": "1.2.3.404"}]}
        asked = client.post("/modalities/skerry/storage-commitment", json=named).json()
        verdict = _verdict(client, asked["ID"])
        assert verdict["Status"] == "Failure"
        assert [one["SOPInstanceUID"] for one in verdict["Failures"]] == ["1.2.3.404"]
        assert verdict["Failures"][0]["FailureReason"] == 0x0112


def _verdict(client: Any, transaction: str) -> Any:
    until = time.monotonic() + 40
    while True:
        said = client.get(f"/storage-commitment/{transaction}").json()
        if said["Status"] != "Pending":
            return said
        assert time.monotonic() < until, "no report came"
        time.sleep(0.2)
