"""Promise 4, the site never waits for the centre: also not when its own identity is expired, damaged or gone."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from mesh.signing import policy_payload
from mesh.v1.common_pb2 import PolicyBundle, PolicyVersion
from provisioning.local.edge import Edge
from provisioning.local.storescp import StoreScp
from tests.edge_samples import data_set
from tests.scu import association, store

POLICY = """\
skerry: 1
destinations:
  - {{name: pacs, kind: dicom, ae_title: PACS, host: 127.0.0.1, port: {port}}}
routes:
  - {{name: everything, to: [pacs]}}
"""


def _enrolled_once(data_dir: Path, port: int, *, damage: bool = False, gone: bool = False) -> None:
    """What an enrolled node has on its disk, except for an identity that can be used."""
    key = Ed25519PrivateKey.generate()
    document = POLICY.format(port=port).encode()
    digest = hashlib.sha256(document).digest()
    signature = key.sign(policy_payload(site="north", generation=3, version=7, sha256=digest))
    bundle = PolicyBundle(
        site="north",
        version=PolicyVersion(generation=3, version=7),
        document=document,
        sha256=digest,
        signature=signature,
    )
    (data_dir / "policy").mkdir(parents=True)
    content = bundle.SerializeToString()
    (data_dir / "policy" / "previous-1.bundle").write_bytes(content)
    (data_dir / "policy" / "active.bundle").write_bytes(content[:-20] if damage else content)
    public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex()
    (data_dir / "policy" / "trust.json").write_text(json.dumps({"site": "north", "public_key": public}))
    if not gone:
        (data_dir / "identity").mkdir()
        (data_dir / "identity" / "node.json").write_text("{ this is not what it was")


@pytest.mark.parametrize(
    ("damage", "gone"),
    [(False, False), (True, False), (False, True)],
    ids=["identity damaged", "identity and active policy damaged", "identity gone"],
)
def test_a_node_without_a_usable_identity_delivers_by_its_last_good_policy_and_says_so(
    tmp_path: Path, damage: bool, gone: bool
) -> None:
    with StoreScp(tmp_path / "pacs") as pacs:
        _enrolled_once(tmp_path / "node", pacs.port, damage=damage, gone=gone)
        with Edge(tmp_path / "node") as edge:
            with association(edge.dicom_port) as peer:
                assert store(peer, "1.2.3.4", data_set("1.2.3.4")) == 0x0000
            deadline = time.monotonic() + 20
            while "1.2.3.4" not in pacs.received() and time.monotonic() < deadline:
                time.sleep(0.1)
            assert pacs.received()["1.2.3.4"].data_set == data_set("1.2.3.4")
            (story,) = edge.ask("trace", "1.2.3.4")
            assert story["policy"] == "3.7"
            assert "identity-damaged" in {one["code"] for one in edge.facts()["conditions"]}
