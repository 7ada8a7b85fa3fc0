"""A whole node with a DICOMweb service and a bucket: from the policy's words to what lies there."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

from edge.durable import write_durably
from provisioning.local.dataset import read_part10
from provisioning.local.edge import Edge
from tests.edge_samples import data_set
from tests.object_store import BUCKET, KEYS, ObjectStore
from tests.orthanc import PASSWORD, PLUGIN, USER, Orthanc
from tests.real_programs import require, require_file
from tests.scu import association, store

POLICY = """\
skerry: 1
destinations:
  - {{name: cloud, kind: dicomweb, url: "{orthanc}/", credentials: cloud}}
  - {{name: vault, kind: s3, bucket: {bucket}, endpoint: "{store}", credentials: vault, key: "in/{{InstanceId}}.dcm"}}
  - {{name: archive, kind: folder, path: "{archive}", template: "{{SOPInstanceUID}}"}}
routes:
  - {{name: all, to: [cloud, vault, archive]}}
"""


def test_a_node_delivers_over_http_once_it_has_the_credentials(tmp_path: Path) -> None:
    require("Orthanc")
    require_file(PLUGIN, package="orthanc-dicomweb")
    archive, policy, secrets = tmp_path / "archive", tmp_path / "policy.yaml", tmp_path / "node" / "credentials"
    archive.mkdir()
    secrets.mkdir(parents=True)
    write_durably(secrets / "vault", json.dumps(KEYS).encode(), mode=0o600)
    with Orthanc(tmp_path / "orthanc") as service, ObjectStore(tmp_path / "moto") as bucket:
        text = POLICY.format(orthanc=service.url, store=bucket.url, bucket=BUCKET, archive=archive)
        policy.write_text(text, encoding="utf-8")
        env = {"SKERRY_EDGE_RETRY_CAP_SECONDS": "1"}
        with Edge(tmp_path / "node", policy=policy, env=env) as edge:
            with association(edge.dicom_port) as peer:
                for number in range(1, 4):
                    uid = f"1.2.3.{number}"
                    assert store(peer, uid, data_set(uid), message_id=number) == 0x0000
            _wait(edge, waiting=3)
            assert service.received() == {}
            assert "there is no file `cloud`" in edge.log_text()
            content = json.dumps({"username": USER, "password": PASSWORD}).encode()
            write_durably(secrets / "cloud", content, mode=0o600)
            _wait(edge, waiting=0)
            assert PASSWORD not in edge.log_text()
            assert KEYS["secret_key"] not in edge.log_text()
        sent = {f"1.2.3.{number}": data_set(f"1.2.3.{number}") for number in range(1, 4)}
        assert service.received() == sent
        assert bucket.received() == sent
        assert all(name.startswith("in/") for name in bucket.objects())
    assert {one.name: read_part10(one).data_set for one in archive.iterdir()} == sent


def _wait(edge: Edge, *, waiting: int) -> None:
    deadline = time.monotonic() + 30
    while True:
        now = edge.ask("status")["buffer"]
        if now["instances_held"] == 3 and now["deliveries_waiting"] == waiting:
            return
        assert time.monotonic() < deadline, f"{now}\n{edge.log_end()}"
        time.sleep(0.1)


def test_a_process_that_delivers_loads_no_library_that_its_destinations_do_not_need() -> None:
    words = "import sys, edge.processes.forward; print({'boto3', 'botocore', 'httpx2'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", words], text=True, timeout=60) == "set()\n"
