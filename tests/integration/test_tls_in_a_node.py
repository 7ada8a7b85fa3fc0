"""A whole node that delivers over TLS: what it says of a certificate that it does not trust, and how it goes on."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

from provisioning.local.edge import Edge
from provisioning.local.storescp import StoreScp
from tests.certificates import MeshAuthority
from tests.edge_samples import data_set
from tests.real_programs import require
from tests.scu import association, store

POLICY = """\
skerry: 1
destinations:
  - name: pacs
    kind: dicom
    ae_title: PACS
    host: 127.0.0.1
    port: {port}
    calling_ae_title: source
    tls: {{ca: hospital-ca.pem}}
routes:
  - {{name: all, to: [pacs]}}
"""


def test_a_node_says_whom_it_does_not_trust_and_delivers_once_the_authority_is_right(tmp_path: Path) -> None:
    require("storescp")
    right, wrong = MeshAuthority(), MeshAuthority("another")
    issued = right.server()
    (tmp_path / "key.pem").write_bytes(issued.key_pem)
    (tmp_path / "certificate.pem").write_bytes(issued.certificate_pem)
    options = ["+tls", str(tmp_path / "key.pem"), str(tmp_path / "certificate.pem"), "--ignore-peer-cert"]
    authority = tmp_path / "node" / "credentials" / "hospital-ca.pem"
    authority.parent.mkdir(parents=True)
    authority.write_bytes(wrong.ca_pem)
    with StoreScp(tmp_path / "pacs", extra=options) as pacs:
        policy = tmp_path / "policy.yaml"
        policy.write_text(POLICY.format(port=pacs.port), encoding="utf-8")
        with Edge(tmp_path / "node", policy=policy) as edge:
            with association(edge.dicom_port) as peer:
                assert store(peer, "1.2.3.1", data_set("1.2.3.1")) == 0x0000
            sentence = "its TLS certificate comes from an authority that `ca` does not hold"
            _wait(lambda: sentence in json.dumps(edge.ask("status")), edge.log_end)
            (story,) = edge.ask("trace", "1.2.3.1")
            assert [one["state"] for one in story["deliveries"]] in (["due"], ["sending"])
            authority.write_bytes(right.ca_pem)
            _wait(lambda: "1.2.3.1" in pacs.received(), edge.log_end)
            _wait(lambda: sentence not in json.dumps(edge.ask("status")), edge.log_end)
        assert pacs.received()["1.2.3.1"].data_set == data_set("1.2.3.1")


def _wait(condition: Callable[[], bool], why: Callable[[], str]) -> None:
    deadline = time.monotonic() + 40
    while not condition():
        assert time.monotonic() < deadline, why()
        time.sleep(0.2)
