"""Every filter finds in SQL what it means in plain Python, on both databases."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from control.clock import utcnow
from control.db.session import Database, open_database
from control.db.upgrade import upgrade
from control.filters.parser import read_filter
from control.filters.printer import text_of
from control.filters.terms import Term
from control.fleet.heard import AgeService
from control.inbox.batch import Sender
from control.inbox.service import InboxService
from control.studies import repository
from control.studies.query import StudyQuery
from control.studies.service import StudyService
from control.studies.tallies import Tallies, tally
from mesh.v1 import sync_pb2
from tests.control_fixtures import fresh_database
from tests.filter_rows import Place, Thing, meets, terms
from tests.mesh_events import batch, changed, received

SITES = ("north", "south", "Ost")
STATES = ("due", "delivered", "delivered", "delivered", "parked", "superseded", "retry_wait", "discarded", "held")
ODD = ("", "a", "A", "aA", "a%", "a_", "a*b", "[a]", "ß1", "a\\b", "é線", "\U0001f600x", "1.2", "^", "ab")
DAYS = ("", "20251231", "20260101", "20260102", "2026", "x")


def made_up(seed: int) -> Sequence[Place]:
    """What sites tell, from a seed."""
    dice = random.Random(seed)
    places = []
    for number in range(14):
        for site in dice.sample(SITES, dice.choice((1, 1, 2))):
            sops = [
                f"9.{number}.{dice.randrange(3)}" if dice.random() < 0.9 else "" for _ in range(dice.randrange(1, 4))
            ]
            places.append(
                Place(
                    study=f"1.{number}" if number else "",
                    site=site,
                    patient_id=dice.choice(ODD),
                    issuer=dice.choice(ODD[:4]),
                    name=dice.choice(ODD) + dice.choice(("^", " ", "")) + dice.choice(ODD),
                    birth_date=dice.choice(DAYS),
                    accession=dice.choice(ODD),
                    study_date=dice.choice(DAYS),
                    modality=dice.choice(("CT", "ct", "MR", "")),
                    description=dice.choice(ODD),
                    things=tuple(_thing(dice, number, sop) for sop in sops),
                )
            )
    return places


def _thing(dice: random.Random, number: int, sop: str) -> Thing:
    at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=dice.randrange(-40, 40))
    ends = tuple(dice.choice(STATES) for _ in range(dice.randrange(3)))
    return Thing(
        series=f"8.{number}.{dice.randrange(2)}", sop=sop, calling=dice.choice(ODD), called=dice.choice(("SKERRY", "")),
        received_at=at, deliveries=ends,
    )  # fmt: skip


def events_of(places: Sequence[Place], site: str) -> Iterator[sync_pb2.Event]:
    """The same as one node of the site would push it."""
    sequence = 0
    for place in places:
        for one in place.things if place.site == site else ():
            sequence += 1
            number = sequence
            names = [f"to-{at}" for at in range(len(one.deliveries))]
            tags = {
                "PatientID": place.patient_id, "IssuerOfPatientID": place.issuer, "PatientName": place.name,
                "PatientBirthDate": place.birth_date, "AccessionNumber": place.accession,
                "StudyDate": place.study_date, "Modality": place.modality, "StudyDescription": place.description,
            }  # fmt: skip
            yield received(
                sequence, number, study=place.study, at=one.received_at, tags=tags, destinations=names,
                sop_instance_uid=one.sop, series_instance_uid=one.series, calling_ae_title=one.calling,
                called_ae_title=one.called,
            )  # fmt: skip
            for name, state in zip(names, one.deliveries, strict=True):
                sequence += 1
                yield changed(sequence, number, state, destination=name, study=place.study, sop_instance_uid=one.sop)


class World:
    """A filled database, and one event loop for all examples."""

    def __init__(self, url: str, places: Sequence[Place]) -> None:
        self.places = places
        self.runner = asyncio.Runner()
        self.database: Database = open_database(url)
        self.studies = StudyService(self.database, AgeService(utcnow))
        self.runner.run(self._fill())

    async def _fill(self) -> None:
        await upgrade(self.database)
        inbox = InboxService(self.database, utcnow)
        for site in SITES:
            await inbox.push(Sender(node_id=f"n-{site}", site=site), batch(events_of(self.places, site)))

    def found(self, term: Term, within: frozenset[str] | None = None) -> set[str]:
        """The studies that the database finds."""
        query = StudyQuery(filter=term, within=within, limit=1000)
        items, _, _ = self.runner.run(self.studies.search(query))
        uids = [one.study_instance_uid for one in items]
        assert len(uids) == len(set(uids))
        return set(uids)

    def counted(self, within: frozenset[str] | None) -> list[tuple[Tallies, Tallies]]:
        """Of each study: what an answer counts, and every object counted by itself."""
        seen = None if within is None else tuple(sorted(within))
        return self.runner.run(self._counted(seen))

    async def _counted(self, seen: tuple[str, ...] | None) -> list[tuple[Tallies, Tallies]]:
        pairs = []
        async with self.database.snapshot() as session:
            for uid in {place.study for place in self.places}:
                slow = Tallies(
                    list(await repository.object_counts(session, [uid], seen)),
                    list(await repository.destination_counts(session, [uid], seen)),
                    await repository.site_counts(session, [uid], seen),
                )
                receptions = await repository.reception_counts(session, [uid], seen)
                pairs.append((tally(receptions, await repository.delivery_counts(session, [uid], seen)), slow))
        return pairs

    def meant(self, term: Term, within: frozenset[str] | None = None) -> set[str]:
        """The studies that it should find."""
        seen = (place for place in self.places if within is None or place.site in within)
        return {place.study for place in seen if meets(place, term)}

    def close(self) -> None:
        """Let go of the database."""
        self.runner.run(self.database.close())
        self.runner.close()


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with fresh_database(request.param, tmp_path_factory.mktemp("filters"), request) as url:
        made = World(url, made_up(17))
        yield made
        made.close()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    term=terms(st.sampled_from([*ODD, *SITES, "SKERRY", "1.3", "9.2.1", "8.4.0", "CT", "20260101"])),
    within=st.none() | st.frozensets(st.sampled_from(SITES)),
)
def test_a_filter_finds_in_sql_what_it_means_in_python(world: World, term: Term, within: frozenset[str] | None) -> None:
    assert world.found(term, within) == world.meant(term, within)


@pytest.mark.parametrize(
    "text",
    [
        *(f"State = {state}" for state in ("delivered", "waiting", "parked", "superseded", "unrouted")),
        "NOT State = unrouted AND NOT State = delivered",
        "Site = north AND State = delivered",
        'PatientName = "*ß*"',
        r'PatientID = "a\*?"',
        'PatientID = "*_"',
        'PatientID = "a%*"',
        "Modality = ct",
        "Text = 'é ab'",
        "StudyDate = 2026-01",
        "ReceivedAt < 2026-01-01",
        "SOPInstanceUID = '9.3.*' AND NOT SOPInstanceUID = ''",
    ],
)
def test_filters_that_people_write_find_what_they_mean(world: World, text: str) -> None:
    term = read_filter(text)
    assert world.found(term) == world.meant(term)
    assert world.meant(term), "a filter that finds nothing shows nothing"
    assert read_filter(text_of(term)) == term


def test_sums_tell_the_same_as_counting_every_object(world: World) -> None:
    plain = 0
    for within in (None, frozenset({"north"}), frozenset(SITES)):
        for quick, slow in world.counted(within):
            if quick.plain:
                plain += 1
                assert sorted(quick.objects) == sorted(slow.objects)
                assert sorted(quick.destinations) == sorted(slow.destinations)
                assert quick.received == slow.received
    assert plain > 5
