"""An object that comes back from where it was sent: kept, sent on to others, and not sent there again."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from edge.buffer.came_back import CAME_BACK, CAME_BACK_CHANGED, LOOP_NOTE, MOST_CHANGED
from edge.buffer.database import open_writer
from edge.buffer.hand import Choice, Hand
from edge.buffer.states import DeliveryEvent
from edge.buffer.store import Buffer
from edge.buffer.transitions import Transition
from edge.buffer.view import BufferView, Record
from edge.model import AssociationFacts, DicomDestination, DicomWebDestination, FolderDestination, RoutedInstance, Wait
from edge.policy.origins import Origins
from tests.edge_samples import meta, routed

UID, BYTES = "1.9", b"one body" * 100
SCANNER = AssociationFacts(calling_ae_title="SCANNER", called_ae_title="SKERRY", peer_address="10.0.0.1")
PACS = AssociationFacts(calling_ae_title="PACS", called_ae_title="SKERRY", peer_address="10.0.0.5")
NEIGHBOUR = dataclasses.replace(PACS, calling_ae_title="VIEWER")
ORIGINS = Origins(
    (
        DicomDestination(name="pacs", host="10.0.0.5", port=104, ae_title="PACS"),
        DicomDestination(name="named", host="ris.hospital", port=104, ae_title="RIS"),
        DicomWebDestination(name="web", url="https://10.0.0.6:8443/dicom-web"),
        FolderDestination(name="archive", path="/mnt"),
    )
)


class Site:
    """A buffer, and those who send to it."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.buffer = Buffer(data_dir, ready_bytes=1 << 20)

    def take(self, facts: AssociationFacts, content: bytes = BYTES) -> RoutedInstance:
        about = dataclasses.replace(meta(UID), facts=facts)
        sealed = self.buffer.receive(about).seal((content,))
        return dataclasses.replace(routed(sealed, "pacs", "archive"), origins=ORIGINS.of(facts))

    def arrive(self, facts: AssociationFacts, content: bytes = BYTES) -> None:
        self.buffer.admit([self.take(facts, content)])

    def deliver(self, *destinations: str) -> None:
        for destination in destinations:
            for held in self.buffer.claim(destination, 10):
                self.buffer.settle(held.delivery_id, DeliveryEvent.ACCEPTED)
        with contextlib.closing(open_writer(self.data_dir / "edge.db")) as connection:  # an hour goes by
            connection.execute("UPDATE instance SET settled_at = settled_at - 3600000000")

    def newest(self) -> Record:
        return BufferView(self.data_dir).trace(UID)[-1]

    def states(self) -> dict[str, str]:
        return {one["destination"]: one["state"] for one in self.newest()["deliveries"]}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    opened = Site(tmp_path)
    yield opened
    opened.buffer.close()


@pytest.mark.parametrize("released", [False, True])
@pytest.mark.parametrize("sender", [PACS, NEIGHBOUR])
def test_what_comes_back_is_kept_and_sent_to_nobody_who_has_it(
    site: Site, sender: AssociationFacts, released: bool
) -> None:
    site.arrive(SCANNER)
    site.deliver("pacs", "archive")
    if released:
        site.buffer.release_delivered(timedelta(0))
    site.arrive(sender)
    assert site.states() == {"pacs": "delivered", "archive": "delivered"}
    assert site.newest()["flags"] == [CAME_BACK]
    assert "came back from pacs, and pacs has these very bytes" in site.newest()["deliveries"][0]["reason"]
    assert site.buffer.claim("pacs", 10) == []
    assert site.buffer.note(LOOP_NOTE + "pacs") is not None
    assert site.buffer.spool.contains(site.newest()["instance_id"])
    assert {event.body.get("state") for event in site.buffer.read_outbox(100)} == {None, "delivered"}
    assert site.buffer.release_delivered(timedelta(0)) >= 1  # it leaves as any other


def test_what_comes_back_before_its_destination_was_asked_whether_it_holds_it_is_known(site: Site) -> None:
    site.arrive(SCANNER)
    (held,) = site.buffer.claim("pacs", 10)
    sent = Transition(delivery_id=held.delivery_id, event=DeliveryEvent.UNPROVEN, sent_as=("1.2.3", "1.2.4", UID))
    site.buffer.settle_soon(sent).result()
    site.arrive(PACS)
    assert site.states() == {}  # the same as what is still on its way
    site.arrive(PACS, b"mended" * 100)
    assert CAME_BACK_CHANGED in site.newest()["flags"]


def test_what_comes_back_is_still_sent_to_who_does_not_have_it(site: Site) -> None:
    site.arrive(SCANNER)
    site.deliver("pacs")
    Hand(site.data_dir).discard(Choice(destination="archive"), reason="as the test says", dry_run=False)
    with contextlib.closing(open_writer(site.data_dir / "edge.db")) as connection:
        connection.execute("UPDATE instance SET settled_at = 1")
    site.arrive(PACS)
    assert site.states() == {"pacs": "delivered", "archive": "due"}


@pytest.mark.parametrize("known", [True, False])
def test_a_route_that_waits_for_the_study_waits_only_with_what_it_will_send(site: Site, known: bool) -> None:
    site.arrive(SCANNER)
    site.deliver("pacs", "archive")
    again = site.take(PACS, BYTES if known else BYTES + b"mended")
    wait = Wait(route="all", scope="study", quiet=timedelta(hours=1), at_most=timedelta(hours=2))
    decision = dataclasses.replace(again.decision, waits={"pacs": wait, "archive": wait})
    site.buffer.admit([dataclasses.replace(again, decision=decision)])
    expected = "delivered" if known else "gathering"
    assert site.states() == {"pacs": expected, "archive": expected}


@pytest.mark.parametrize("sender", [SCANNER, dataclasses.replace(SCANNER, calling_ae_title="OTHER")])
def test_who_was_given_nothing_may_send_again_what_is_then_delivered_again(
    site: Site, sender: AssociationFacts
) -> None:
    site.arrive(SCANNER)
    site.deliver("pacs", "archive")
    site.arrive(sender)
    assert site.states() == {"pacs": "due", "archive": "due"}


def test_a_neighbour_of_a_destination_who_sent_it_first_may_send_it_again(site: Site) -> None:
    site.arrive(NEIGHBOUR)
    site.deliver("pacs", "archive")
    site.arrive(NEIGHBOUR)
    assert site.states() == {"pacs": "due", "archive": "due"}


def test_what_a_destination_has_mended_goes_on_and_what_changes_each_time_is_held_back(site: Site) -> None:
    site.arrive(SCANNER)
    site.deliver("pacs", "archive")
    for turn in range(MOST_CHANGED):
        site.arrive(PACS, BYTES + bytes([turn]))
        assert site.newest()["flags"] == ["duplicate-uid-other-bytes", CAME_BACK_CHANGED]
        assert site.states() == {"pacs": "due", "archive": "due"}
        site.deliver("pacs", "archive")
    site.arrive(PACS, BYTES + b"once more")
    assert site.states() == {"pacs": "held", "archive": "held"}
    assert "looks like a loop; release it when it is none" in site.newest()["deliveries"][0]["reason"]
    assert site.buffer.claim("pacs", 10) == []


def test_a_title_tells_more_of_a_sender_than_an_address() -> None:
    assert ORIGINS.of(PACS) == {"pacs": True}
    assert ORIGINS.of(NEIGHBOUR) == {"pacs": False}
    assert ORIGINS.of(dataclasses.replace(PACS, calling_ae_title="RIS", peer_address="10.9.9.9")) == {"named": True}
    assert ORIGINS.of(dataclasses.replace(SCANNER, peer_address="10.0.0.6")) == {"web": False}
    assert ORIGINS.of(SCANNER) == {}
