"""A policy that refuses other bytes under a UID that is held: said before the object is taken, and only then."""

from __future__ import annotations

import time
from pathlib import Path

from provisioning.local.edge import Edge
from tests.edge_samples import data_set
from tests.scu import association, store

POLICY = "skerry: 1\ndestinations: [{name: pacs, kind: dicom, ae_title: PACS, host: 127.0.0.1, port: 9}]\n"
POLICY += "routes: [{name: all, to: [pacs]}]\nduplicates: refuse\n"


def test_other_bytes_under_a_held_uid_are_refused_and_the_same_bytes_are_not(tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY)
    one, other = data_set("1.2.3.4"), data_set("1.2.3.4", body=bytes(99))
    with Edge(tmp_path / "node", policy=policy) as edge, association(edge.dicom_port) as peer:
        assert store(peer, "1.2.3.4", one) == 0x0000
        deadline = time.monotonic() + 10
        while edge.ask("status")["buffer"]["instances_held"] == 0:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert store(peer, "1.2.3.4", other, message_id=2) == 0x0111
        assert store(peer, "1.2.3.4", one, message_id=3) == 0x0000
        assert store(peer, "1.2.3.5", data_set("1.2.3.5"), message_id=4) == 0x0000
        assert "duplicate" in edge.log_text()
