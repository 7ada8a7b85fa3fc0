"""A whole node with transforms: the policy's words reach the process that delivers, and a failing one parks."""

from __future__ import annotations

import time
from pathlib import Path

from edge.transform.apply import coding_of
from provisioning.local.dataset import read_part10
from provisioning.local.edge import Edge
from tests.edge_samples import EXPLICIT, data_set
from tests.scu import association, store
from tests.transforming import read

POLICY = """\
skerry: 1
destinations:
  - {{name: plain, kind: folder, path: {plain}}}
  - {{name: research, kind: folder, path: {research}, transforms: [pseudonyms]}}
transforms:
  - name: pseudonyms
    steps:
      - charset: utf-8
      - hash: {{tag: SOPInstanceUID}}
      - map: {{tag: PatientID, table: {{P1: SUBJECT-1}}}}
routes:
  - {{name: all, to: [plain, research]}}
"""


def test_a_node_transforms_for_one_destination_and_parks_what_it_cannot(tmp_path: Path) -> None:
    plain, research, policy = tmp_path / "plain", tmp_path / "research", tmp_path / "policy.yaml"
    plain.mkdir()
    research.mkdir()
    policy.write_text(POLICY.format(plain=plain, research=research), encoding="utf-8")
    unknown = data_set("1.2.3.2").replace(b"P1", b"P2")
    with Edge(tmp_path / "node", policy=policy) as edge:
        with association(edge.dicom_port) as peer:
            assert store(peer, "1.2.3.1", data_set("1.2.3.1")) == 0x0000
            assert store(peer, "1.2.3.2", unknown, message_id=2) == 0x0000
        deadline = time.monotonic() + 20
        while True:
            now = edge.ask("status")["buffer"]
            if now["deliveries_quarantined"] == 1 and not now["deliveries_waiting"] and now["instances_held"] == 2:
                break
            assert time.monotonic() < deadline, f"{now}\n{edge.log_end()}"
            time.sleep(0.1)
        (story,) = edge.ask("trace", "1.2.3.2")
        reasons = {one["destination"]: one["reason"] for one in story["deliveries"] if one["state"] == "quarantined"}
        assert reasons == {
            "research": "transform `pseudonyms`, step 3 (`map` of PatientID): PatientID: its value is not in the table"
        }
        assert "P2" not in edge.log_end()
    assert {read_part10(one).data_set for one in plain.rglob("*.dcm")} == {data_set("1.2.3.1"), unknown}
    (sent,) = (read(read_part10(one).data_set, coding_of(EXPLICIT)) for one in research.rglob("*.dcm"))
    assert (sent.PatientID, sent.SpecificCharacterSet) == ("SUBJECT-1", "ISO_IR 192")
    assert sent.SOPInstanceUID.startswith("2.25.")
