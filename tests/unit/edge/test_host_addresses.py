"""Names of destinations become addresses beside the work; nobody waits for a name server."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

from edge.buffer.store import Buffer
from edge.health import HealthBoard
from edge.host_addresses import HostAddresses, resolved, resolved_within
from edge.model import AssociationFacts, DicomDestination, DicomWebDestination, FolderDestination, GroupDestination
from edge.policy.document import load_policy
from edge.policy.origins import Origins, hosts_of
from edge.policy.quickstart import everything_to
from edge.routing import Router

PACS = DicomDestination(name="pacs", host="pacs.hospital", port=104, ae_title="PACS")
WEB = DicomWebDestination(name="web", url="https://web.hospital:8443/dicom-web")


def wait(known: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not known():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_names_are_looked_up_again_and_keep_what_they_had_while_nobody_answers() -> None:
    answers = {"pacs.hospital": [(), ("10.0.0.5",), (), ("10.0.0.6",)]}
    known = HostAddresses(lambda name: answers[name].pop(0) if answers[name] else (), again_seconds=0.01)
    known.follow(["pacs.hospital", "10.0.0.9", ""])
    seen = []
    while known.version < 2:
        seen.append(known.of("pacs.hospital"))
    assert set(seen) <= {(), ("10.0.0.5",), ("10.0.0.6",)}
    assert known.of("pacs.hospital") == ("10.0.0.6",)
    assert known.of("10.0.0.9") == ("10.0.0.9",)
    known.stop()


def test_a_name_server_that_hangs_delays_nobody() -> None:
    hung = threading.Event()

    def hang(_name: str) -> tuple[str, ...]:
        hung.wait(10)
        return ("10.0.0.5",)

    began = time.monotonic()
    known = HostAddresses(hang)
    known.follow(["pacs.hospital"])
    assert known.of("pacs.hospital") == ()
    assert resolved_within("pacs.hospital", 0.1, resolve=hang) == ()
    assert time.monotonic() - began < 5
    hung.set()
    wait(lambda: known.of("pacs.hospital") == ("10.0.0.5",))
    known.stop()


def test_addresses_alone_need_no_thread() -> None:
    known = HostAddresses()
    known.follow(["10.0.0.5", "::1"])
    assert known._thread is None


def test_a_name_that_nobody_knows_has_no_address() -> None:
    assert resolved("name.invalid") == ()
    assert "127.0.0.1" in resolved("localhost")


def test_who_sends_from_the_address_of_a_destinations_name_may_be_that_destination() -> None:
    group = GroupDestination(name="both", how="failover", members=(PACS, WEB))
    destinations = (PACS, group, FolderDestination(name="archive", path="/mnt"))
    assert hosts_of(destinations) == {"pacs.hospital", "web.hospital"}
    facts = AssociationFacts(calling_ae_title="X", called_ae_title="SKERRY", peer_address="10.0.0.5")
    assert Origins(destinations).of(facts) == {}
    known = {"pacs.hospital": ("10.0.0.5", "fd00::5"), "web.hospital": ("10.0.0.5",)}
    assert Origins(destinations, lambda host: known.get(host, ())).of(facts) == {"pacs": False, "both": False}


def test_routing_knows_a_sender_by_the_name_of_a_destination_without_waiting_for_it(tmp_path: Path) -> None:
    policy = load_policy(everything_to(["PACS@pacs.hospital:104"]))
    asked = threading.Event()

    def answer(_name: str) -> tuple[str, ...]:
        asked.wait(10)
        return ("10.0.0.5",)

    addresses = HostAddresses(answer)
    buffer = Buffer(tmp_path)
    router = Router(buffer, HealthBoard(), lambda: policy, b"k" * 32, addresses=addresses)
    facts = AssociationFacts(calling_ae_title="X", called_ae_title="SKERRY", peer_address="10.0.0.5")
    assert router._origins_of(policy).of(facts) == {}
    asked.set()
    wait(lambda: router._origins_of(policy).of(facts) == {"PACS": False})
    addresses.stop()
    buffer.close()
