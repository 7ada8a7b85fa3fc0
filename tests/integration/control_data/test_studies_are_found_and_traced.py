"""Study search and trace over what nodes pushed, on both databases."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from control.clock import utcnow
from control.db.session import Database
from control.deliveries.changes import Progress
from control.errors import UnknownStudy
from control.fleet.heard import AgeService
from control.inbox.batch import Sender
from control.inbox.service import InboxService
from control.nodes.models import Node
from control.sites.models import Site
from control.studies.query import StudyQuery, text_words
from control.studies.receptions import ReceptionQuery
from control.studies.schemas import ReceptionItem, StudyItem
from control.studies.service import StudyService
from tests.mesh_events import START, batch, changed, moment, received

NORTH = Sender(node_id="n1", site="north")
NORTH_2 = Sender(node_id="n2", site="north")
SOUTH = Sender(node_id="s1", site="south")


@pytest.fixture
def inbox(database: Database) -> InboxService:
    return InboxService(database, utcnow)


@pytest.fixture
def studies(database: Database) -> StudyService:
    return StudyService(database, AgeService(lambda: START + timedelta(hours=1)))


async def found(studies: StudyService, **query: Any) -> list[str]:
    items, _, _ = await studies.search(StudyQuery(**query))
    return [item.study_instance_uid for item in items]


async def one(studies: StudyService, uid: str = "1.2.3") -> StudyItem:
    items, _, _ = await studies.search(StudyQuery(study_instance_uid=uid))
    assert len(items) == 1
    return items[0]


async def trace(studies: StudyService, uid: str = "1.2.3") -> list[ReceptionItem]:
    _, items, _, _ = await studies.trace(ReceptionQuery(study_instance_uid=uid), uid)
    return items


async def test_a_study_counts_each_object_once_under_its_least_finished_delivery(
    inbox: InboxService, studies: StudyService
) -> None:
    both = ["pacs", "archive"]
    events = [received(n, destinations=both) for n in (1, 2, 3)] + [received(4, destinations=[])]
    events += [changed(5, 1, "delivered"), changed(6, 1, "delivered", destination="archive")]
    events += [changed(7, 2, "delivered"), changed(8, 3, "parked"), changed(9, 3, "retry_wait", destination="archive")]
    await inbox.push(NORTH, batch(events))
    item = await one(studies)
    assert (item.received, item.delivered, item.waiting, item.parked, item.unrouted) == (4, 1, 1, 1, 1)
    at = {place.destination: (place.delivered, place.waiting, place.parked) for place in item.destinations}
    assert at == {"pacs": (2, 0, 1), "archive": (1, 2, 0)}
    assert item.modalities == ["CT"]
    assert (item.first_received_at, item.last_received_at) == (moment(1), moment(4))


async def test_two_arrivals_of_one_object_count_once_and_are_both_traced(
    inbox: InboxService, studies: StudyService
) -> None:
    first, again = received(1), received(2, sop_instance_uid="1.2.3.1.1", calling_ae_title="CT2")
    await inbox.push(NORTH, batch([first, again, changed(3, 1, "delivered")]))
    item = await one(studies)
    assert (item.received, item.delivered, item.waiting) == (1, 0, 1)
    arrivals = [(at.calling_ae_title, at.arrival, at.arrivals, at.progress) for at in await trace(studies)]
    assert arrivals == [("CT1", 1, 2, "delivered"), ("CT2", 2, 2, "waiting")]
    await inbox.push(NORTH, batch([changed(4, 2, "delivered")]))
    assert (await one(studies)).delivered == 1


async def test_objects_that_name_no_sop_instance_are_never_one(inbox: InboxService, studies: StudyService) -> None:
    await inbox.push(NORTH, batch([received(n, study="", sop_instance_uid="") for n in (1, 2)]))
    assert (await one(studies, "")).received == 2
    assert [(at.arrival, at.arrivals) for at in await trace(studies, "")] == [(1, 1), (1, 1)]


async def test_a_trace_tells_from_whom_why_and_how_far(inbox: InboxService, studies: StudyService) -> None:
    refused = changed(2, 1, "parked", reason="the peer answered 0xA900", attempts=3, dimse_status=0xA900)
    await inbox.push(NORTH, batch([received(1), refused]))
    (at,) = await trace(studies)
    assert (at.site, at.calling_ae_title, at.called_ae_title, at.peer_address) == ("north", "CT1", "SKERRY", "10.0.0.7")
    assert at.policy == "1.4"
    assert [(r.route, r.matched, r.reason) for r in at.reasons] == [("all-ct", True, "Modality is CT")]
    (owed,) = at.deliveries
    assert (owed.destination, owed.state, owed.progress, owed.attempts) == ("pacs", "parked", "parked", 3)
    assert (owed.reason, owed.dimse_status, owed.changed_at) == ("the peer answered 0xA900", 0xA900, moment(2))
    assert owed.delivered_at is None


async def test_a_delivery_of_an_untold_object_is_shown_as_such(inbox: InboxService, studies: StudyService) -> None:
    await inbox.push(NORTH, batch([changed(5, 1, "delivered")]))
    (at,) = await trace(studies)
    assert (at.reported, at.received_at, at.progress) == (False, None, "delivered")


async def test_a_study_of_two_sites_is_one_with_two_places(inbox: InboxService, studies: StudyService) -> None:
    await inbox.push(NORTH, batch([received(1)]))
    await inbox.push(
        SOUTH, batch([received(1, 901, sop_instance_uid="1.2.3.1.1", tags={"PatientID": "S-9"}, at=moment(9))])
    )
    item = await one(studies)
    assert item.received == 1
    assert [(at.site, at.patient_id, at.received) for at in item.sites] == [("south", "S-9", 1), ("north", "P-1", 1)]
    assert {(at.site, at.destination) for at in item.destinations} == {("north", "pacs"), ("south", "pacs")}
    # The id of the one hospital with the accession number of the other is nobody.
    assert await found(studies, patient_id="S-9", accession_number="A-17") == []
    assert await found(studies, patient_id="S-9", site="north") == []
    assert await found(studies, patient_id="S-9", site="south") == ["1.2.3"]


async def test_every_filter_finds_its_study_and_no_other(inbox: InboxService, studies: StudyService) -> None:
    other = {"PatientID": "P-2", "PatientName": "MÜLLER^Änne", "Modality": "MR", "StudyDate": "20251231"}
    await inbox.push(NORTH, batch([received(1), received(2, study="9.9", tags=other)]))
    for query in (
        {"patient_id": "P-2"},
        {"modality": "MR"},
        {"study_date_to": date(2025, 12, 31)},
        {"study_instance_uid": "9.9"},
        {"sop_instance_uid": "9.9.1.2"},
        {"text": text_words("müller")},
        {"text": text_words("änn MÜ")},
        {"text": text_words("9.9")},
    ):
        assert await found(studies, **query) == ["9.9"], query
    for query in (
        {"accession_number": "A-17"},
        {"accession_number": "A*", "patient_id": "P*"},
        {"study_date_from": date(2026, 1, 1), "study_date_to": date(2026, 12, 31)},
        {"text": text_words("head")},
        {"text": text_words("DOE^J")},
    ):
        assert await found(studies, **query) == ["1.2.3"], query
    assert await found(studies, site="north") == ["9.9", "1.2.3"]
    assert await found(studies, site="east") == []
    assert await found(studies, patient_id="P") == []
    assert await found(studies, patient_id="%") == []
    assert await found(studies, text=text_words("oe")) == []


async def test_studies_are_found_by_how_far_they_are(inbox: InboxService, studies: StudyService) -> None:
    events = [received(n, study=f"1.{n}") for n in (1, 2, 3)] + [received(4, study="1.4", destinations=[])]
    events += [changed(5, 1, "delivered", study="1.1"), changed(6, 2, "parked", study="1.2")]
    await inbox.push(NORTH, batch(events))
    for state, uid in (("delivered", "1.1"), ("parked", "1.2"), ("waiting", "1.3"), ("unrouted", "1.4")):
        assert await found(studies, state=Progress(state)) == [uid]
        assert await found(studies, state=Progress(state), site="north") == [uid]
        assert await found(studies, state=Progress(state), site="south") == []


async def test_what_a_newer_object_took_the_place_of_counts_as_neither_delivered_nor_waiting(
    inbox: InboxService, studies: StudyService
) -> None:
    events = [received(1), received(2), changed(3, 1, "superseded"), changed(4, 2, "delivered")]
    await inbox.push(NORTH, batch(events))
    item = await one(studies)
    assert (item.received, item.delivered, item.superseded, item.waiting) == (2, 1, 1, 0)
    assert [reception.progress for reception in await trace(studies)] == ["superseded", "delivered"]
    assert await found(studies, state=Progress.SUPERSEDED) == ["1.2.3"]
    assert await found(studies, state=Progress.WAITING) == []


async def test_what_a_person_is_needed_for_holds_or_ended_counts_under_the_words_that_there_are(
    inbox: InboxService, studies: StudyService
) -> None:
    states = ("quarantined", "held", "gathering", "discarded")
    events = [received(number) for number in (1, 2, 3, 4)]
    events += [changed(number + 4, number, state) for number, state in enumerate(states, 1)]
    await inbox.push(NORTH, batch(events))
    item = await one(studies)
    assert (item.received, item.parked, item.waiting, item.superseded, item.delivered) == (4, 1, 2, 1, 0)
    told = [[(owed.state, owed.progress) for owed in reception.deliveries] for reception in await trace(studies)]
    words = ("parked", "waiting", "waiting", "superseded")
    assert told == [[pair] for pair in zip(states, words, strict=True)]


async def test_an_object_sent_again_after_its_route_was_mended_is_not_unrouted(
    inbox: InboxService, studies: StudyService
) -> None:
    again = received(2, sop_instance_uid="1.2.3.1.1")
    delivered = changed(3, 2, "delivered", sop_instance_uid="1.2.3.1.1")
    await inbox.push(NORTH, batch([received(1, destinations=[]), again, delivered]))
    assert (await one(studies)).unrouted == 0
    assert await found(studies, state=Progress.UNROUTED) == []
    assert await found(studies, state=Progress.DELIVERED) == ["1.2.3"]


async def test_pages_neither_skip_nor_repeat_while_studies_arrive(inbox: InboxService, studies: StudyService) -> None:
    await inbox.push(NORTH, batch([received(n, study=f"1.{n}") for n in range(1, 8)]))
    seen: list[str] = []
    place, sequence = None, 100
    while True:
        items, place, _ = await studies.search(StudyQuery(limit=3, after=place))
        seen += [item.study_instance_uid for item in items]
        if place is None:
            break
        # A new study, and one more object of a study that stands on a later page.
        await inbox.push(NORTH, batch([received(sequence, study=f"2.{sequence}"), received(sequence + 1, study="1.1")]))
        sequence += 2
    assert seen == [f"1.{n}" for n in range(7, 0, -1)]


async def test_receptions_come_in_pages_too(inbox: InboxService, studies: StudyService) -> None:
    await inbox.push(NORTH, batch([received(n, at=moment(1)) for n in range(1, 6)]))
    await inbox.push(NORTH_2, batch([received(n, at=moment(1)) for n in range(1, 3)]))
    seen, place = [], None
    while True:
        items, place, _ = await studies.receptions(ReceptionQuery(study_instance_uid="1.2.3", limit=2, after=place))
        seen += [(item.node_id, item.instance_id) for item in items]
        if place is None:
            break
    assert len(seen) == 7
    assert seen == sorted(set(seen))


async def test_an_unknown_study_has_no_trace(studies: StudyService) -> None:
    with pytest.raises(UnknownStudy):
        await trace(studies, "7.7")


async def test_every_answer_says_when_each_site_was_last_heard_of(database: Database, studies: StudyService) -> None:
    now = START + timedelta(hours=1)
    async with database.transaction() as session:
        session.add_all([Site(id=1, name="north", created_at=START), Site(id=2, name="south", created_at=START)])
        session.add(Site(id=3, name="west", created_at=START))
        await session.flush()
        for node, site, heard in (
            ("n1", 1, now - timedelta(seconds=20)),
            ("n2", 1, now - timedelta(minutes=9)),
            ("s1", 2, None),
        ):
            session.add(
                Node(
                    id=node,
                    site_id=site,
                    name=node,
                    key_fingerprint="",
                    certificate_ends=now,
                    enrolled_at=START,
                    last_contact_at=heard,
                )
            )
    _, _, heard_of = await studies.search(StudyQuery())
    ages = {age.site: (age.state, age.nodes, age.silent_nodes, age.age_seconds) for age in heard_of}
    assert ages == {"north": ("silent", 2, 1, 20), "south": ("never", 1, 1, None), "west": ("empty", 0, 0, None)}
