"""DICOM over TLS that ends at HAProxy: DCMTK's echoscu with a certificate gets through, and nobody without one."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from provisioning.local.pool_manager import PoolManager
from provisioning.local.ports import LOOPBACK, free_port
from tests.certificates import Issued, MeshAuthority
from tests.edge_door import TunedEdge
from tests.haproxy_pool import short_folder, until
from tests.real_programs import require

ECHOSCU = "/usr/bin/echoscu"


@dataclass(frozen=True, kw_only=True)
class TlsDoor:
    """Where it is, and what callers need."""

    port: int
    ca: Path
    folder: Path
    ours: Issued
    stranger: Issued

    def echo(self, *options: str) -> subprocess.CompletedProcess[str]:
        """A C-ECHO with these options of TLS."""
        where = (LOOPBACK, str(self.port))
        return subprocess.run(
            [ECHOSCU, "-to", "5", "-ta", "5", "-td", "5", "-aec", "SKERRY", *options, *where],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    def files_of(self, who: str, issued: Issued) -> tuple[str, str]:
        key, certificate = self.folder / f"{who}-key.pem", self.folder / f"{who}.pem"
        key.write_bytes(issued.key_pem)
        certificate.write_bytes(issued.certificate_pem)
        return str(key), str(certificate)


@pytest.fixture
def door(tmp_path: Path) -> Iterator[TlsDoor]:
    require("haproxy", "storescp")
    mesh, others = MeshAuthority("modalities"), MeshAuthority("others")
    server = mesh.server()
    pem, ca = tmp_path / "door.pem", tmp_path / "ca.pem"
    pem.write_bytes(server.certificate_pem + server.key_pem)
    ca.write_bytes(mesh.ca_pem)
    port = free_port()
    with TunedEdge(tmp_path, proxy_from=[LOOPBACK]) as node, short_folder() as folder:
        listener = {
            "name": "tls",
            "kind": "dicom-tls-terminated",
            "bind": f"{LOOPBACK}:{port}",
            "certificate": str(pem),
            "client_ca": str(ca),
        }
        member = {"node": "box-1", "addresses": {"dicom": f"{LOOPBACK}:{node.dicom_port}"}}
        pool = {"name": "images", "check_seconds": 1, "listeners": [listener], "members": [member]}
        (folder / "pool.yaml").write_text(json.dumps({"skerry_pools": 1, "pools": [pool]}))
        with PoolManager(folder / "m", pool=folder / "pool.yaml", log_dir=tmp_path / "log") as manager:
            until(lambda: [one["check"] for one in manager.facts()["members"]] == ["L7OK"], "the check is good")
            yield TlsDoor(port=port, ca=ca, folder=tmp_path, ours=mesh.client(), stranger=others.client())


def test_a_modality_with_a_certificate_of_the_site_gets_through_and_others_do_not(door: TlsDoor) -> None:
    good = door.echo("+tls", *door.files_of("ours", door.ours), "+cf", str(door.ca))
    assert good.returncode == 0, good.stderr
    assert door.echo("+tls", *door.files_of("stranger", door.stranger), "+cf", str(door.ca)).returncode != 0
    assert door.echo("+tla", "+cf", str(door.ca)).returncode != 0
    assert door.echo().returncode != 0, "without TLS"
