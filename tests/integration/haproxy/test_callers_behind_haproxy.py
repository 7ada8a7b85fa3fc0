"""A node sees the modality through HAProxy: in its log, its trace and its admission, with IPv4 and IPv6.

HAProxy and the node are on this machine; the modality is another host, a network namespace with addresses of its own.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from provisioning.local.pool_manager import PoolManager
from provisioning.local.ports import LOOPBACK, free_port
from tests import byte_pdus as pdus
from tests.byte_pdus import Accepted, Rejected
from tests.byte_peer import DEFAULT_CONTEXTS, BytePeer
from tests.edge_door import TunedEdge
from tests.edge_samples import data_set
from tests.haproxy_pool import short_folder, until
from tests.namespaces import Namespace, namespace
from tests.real_programs import require

HAPROXY_4, HAPROXY_6 = "10.99.7.1", "fd00:99:7::1"
MODALITY_4, MODALITY_6 = "10.99.7.2", "fd00:99:7::2"
STRANGER_4, STRANGER_6 = "10.99.7.66", "fd00:99:7::66"
FORGED = b"PROXY TCP4 10.99.7.2 10.99.7.1 50000 104\r\n"


@dataclass(frozen=True, kw_only=True)
class Behind:
    """A node behind HAProxy, and the host of the modality."""

    node: TunedEdge
    modality: Namespace
    port: int


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Behind]:
    require("haproxy")
    home = tmp_path_factory.mktemp("behind")
    with contextlib.ExitStack() as started:
        modality = started.enter_context(
            namespace(
                [f"{HAPROXY_4}/24", f"{HAPROXY_6}/64"],
                [f"{one}/24" for one in (MODALITY_4, STRANGER_4)] + [f"{one}/64" for one in (MODALITY_6, STRANGER_6)],
            )
        )
        node = TunedEdge(home, proxy_from=[LOOPBACK], allow_networks=[MODALITY_4, MODALITY_6])
        # Reachable from the modality's host, too: it might try to speak to it without HAProxy.
        node._options += ["--listen", f"0.0.0.0:{node.dicom_port}"]
        started.enter_context(node)
        folder, port = started.enter_context(short_folder()), free_port()
        listeners = [
            {"name": "dicom", "kind": "dicom", "bind": f"{HAPROXY_4}:{port}"},
            {"name": "dicom-6", "kind": "dicom", "bind": f"[{HAPROXY_6}]:{port}"},
        ]
        member = {"node": "box-1", "addresses": {"dicom": f"{LOOPBACK}:{node.dicom_port}"}}
        pool = {"name": "images", "check_seconds": 1, "listeners": listeners, "members": [member]}
        (folder / "pool.yaml").write_text(json.dumps({"skerry_pools": 1, "pools": [pool]}))
        manager = started.enter_context(PoolManager(folder / "m", pool=folder / "pool.yaml", log_dir=home / "log"))
        until(lambda: [one["check"] for one in manager.facts()["members"]] == ["L7OK"] * 2, "both checks are good")
        yield Behind(node=node, modality=modality, port=port)


@pytest.mark.parametrize(
    ("haproxy", "caller"), [(HAPROXY_4, MODALITY_4), (HAPROXY_6, MODALITY_6)], ids=["IPv4", "IPv6"]
)
def test_the_log_and_the_trace_have_the_modalitys_address(behind: Behind, haproxy: str, caller: str) -> None:
    uid = f"1.2.7.{4 if haproxy == HAPROXY_4 else 6}"

    def send() -> int:
        with BytePeer(behind.port, host=haproxy, address=caller) as peer:
            peer.associate(calling=f"CT{caller[-1]}{len(caller)}".encode())
            status = peer.store(uid, data_set(uid))
            assert peer.release()
            return status

    assert behind.modality.run(send) == 0x0000
    (row,) = behind.node.held(uid)
    assert row["peer_address"] == caller
    behind.node.wait(
        lambda: caller in {one["peer_address"] for one in behind.node.events("ingest.association_ended")},
        "the log has the caller's address",
    )


@pytest.mark.parametrize(
    ("haproxy", "caller"), [(HAPROXY_4, STRANGER_4), (HAPROXY_6, STRANGER_6)], ids=["IPv4", "IPv6"]
)
def test_admission_judges_the_modalitys_address(behind: Behind, haproxy: str, caller: str) -> None:
    def ask() -> object:
        with BytePeer(behind.port, host=haproxy, address=caller) as peer:
            return peer.request(pdus.associate_rq(DEFAULT_CONTEXTS))

    assert behind.modality.run(ask) == Rejected(result=1, source=1, reason=1)
    behind.node.wait(
        lambda: caller in {one["peer_address"] for one in behind.node.events("ingest.association_rejected")},
        "the refusal names the caller",
    )


def test_a_forged_header_from_another_host_is_refused(behind: Behind) -> None:
    def forge() -> object:
        with BytePeer(behind.node.dicom_port, host=HAPROXY_4, address=STRANGER_4, hello=FORGED) as peer:
            return peer.request(pdus.associate_rq(DEFAULT_CONTEXTS))

    counted = behind.node.ended("not-dicom")
    assert not isinstance(behind.modality.run(forge), Accepted)
    behind.node.wait_ended("not-dicom", count=counted + 1)


def test_the_checks_of_haproxy_are_counted_and_not_told_of(behind: Behind) -> None:
    behind.node.wait(lambda: behind.node.ended("health-check") > 3, "they are counted")
    told = behind.node.events("ingest.association_ended") + behind.node.events("ingest.no_association")
    assert LOOPBACK not in {one["peer_address"] for one in told}
