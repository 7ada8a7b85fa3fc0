"""Old studies leave the centre with all that belongs to them; one with anything left to do never does."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select

from control.audit.service import AuditService
from control.clock import utcnow
from control.db.session import Database, open_database
from control.db.upgrade import upgrade
from control.deliveries.models import Delivery
from control.forgetting.repository import Counted
from control.forgetting.service import TOGETHER, ForgettingService
from control.inbox.batch import Sender
from control.inbox.service import InboxService
from control.instances.models import Instance, Series, Study, StudyFacet, StudySite, StudyTerm
from control.sites.service import SiteService
from mesh.v1 import sync_pb2
from tests.control_fixtures import control_command
from tests.mesh_events import START, batch, changed, received

NORTH, SOUTH = Sender(node_id="n1", site="north"), Sender(node_id="s1", site="south")
KEEP = timedelta(days=90)
LONG_AFTER = START + timedelta(days=100)


@pytest.fixture
async def inbox(database: Database) -> InboxService:
    sites = SiteService(database, AuditService(database, utcnow), utcnow)
    for name in ("north", "south"):
        await sites.add(name, actor="test")
    return InboxService(database, utcnow)


@pytest.fixture
def forgetting(database: Database) -> ForgettingService:
    return ForgettingService(database, AuditService(database, utcnow), lambda: LONG_AFTER)


def delivered(first: int, study: str) -> list[sync_pb2.Event]:
    """One image of a study, and its delivery."""
    return [received(first, study=study), changed(first + 1, first, "delivered", study=study)]


async def known(database: Database) -> Sequence[tuple[str, str]]:
    async with database.snapshot() as session:
        found = await session.execute(select(StudySite.study_instance_uid, StudySite.site))
        return sorted((uid, site) for uid, site in found)


async def test_a_finished_study_is_forgotten_whole_at_one_site_and_stays_at_another(
    database: Database, inbox: InboxService, forgetting: ForgettingService
) -> None:
    await inbox.push(NORTH, batch([*delivered(1, "1.1"), *delivered(3, "1.2")]))
    late = received(1, study="1.1", at=LONG_AFTER - timedelta(days=1))
    await inbox.push(SOUTH, batch([late, changed(2, 1, "delivered", study="1.1")]))
    expected = Counted(studies=2, instances=2, deliveries=2)
    assert await forgetting.would_forget(KEEP) == expected
    assert len(await known(database)) == 3
    assert await forgetting.forget(KEEP, actor="test") == expected
    assert await known(database) == [("1.1", "south")]
    async with database.snapshot() as session:
        for model in (Instance, Delivery, Series, StudySite):
            assert await session.scalar(select(func.count()).select_from(model)) == 1, model
        for several in (StudyFacet, StudyTerm):
            assert set(await session.scalars(select(several.site))) == {"south"}
    assert await forgetting.forget(KEEP, actor="test") == Counted()


async def test_a_study_with_anything_left_to_do_is_never_forgotten(
    database: Database, inbox: InboxService, forgetting: ForgettingService
) -> None:
    waits = [received(1, study="1.1"), changed(2, 1, "retry_wait", study="1.1")]
    needs_a_person = [received(3, study="1.2"), changed(4, 3, "parked", study="1.2")]
    no_route_took_it = [received(5, study="1.3", destinations=[])]
    one_of_three_waits = [*delivered(6, "1.4"), *delivered(8, "1.4"), received(10, study="1.4")]
    an_image_came_since = [*delivered(11, "1.5"), received(13, study="1.5", at=LONG_AFTER - KEEP)]
    await inbox.push(
        NORTH, batch([*waits, *needs_a_person, *no_route_took_it, *one_of_three_waits, *an_image_came_since])
    )
    assert await forgetting.would_forget(KEEP) == Counted()
    assert await forgetting.forget(KEEP, actor="test") == Counted()
    assert len(await known(database)) == 5


async def test_more_than_a_step_are_forgotten_and_what_stays_between_them_stops_nothing(
    database: Database, inbox: InboxService, forgetting: ForgettingService
) -> None:
    events = [
        event
        for n in range(TOGETHER * 2 + 30)
        for event in (delivered(2 * n + 1, f"1.{n}") if n % 10 else [received(2 * n + 1, study=f"1.{n}")])
    ]
    await inbox.push(NORTH, batch(events))
    steps: list[int] = []
    gone = await forgetting.forget(KEEP, actor="test", progress=lambda so_far: steps.append(so_far.studies))
    assert gone == Counted(studies=207, instances=207, deliveries=207)
    assert steps == [100, 200, 207]
    assert len(await known(database)) == 23
    trail = await AuditService(database, utcnow).page(before=None, limit=9)
    assert [one.after["studies"] for one in trail if one.action == "metadata.forget" and one.after] == [7, 100, 100]


async def test_a_study_that_is_told_of_meanwhile_is_whole_afterwards(
    database: Database, inbox: InboxService, forgetting: ForgettingService
) -> None:
    await inbox.push(NORTH, batch([one for n in range(40) for one in delivered(2 * n + 1, f"1.{n}")]))

    async def tell_anew() -> None:
        for n in range(40):
            await inbox.push(NORTH, batch([received(101 + n, study=f"1.{n}", at=LONG_AFTER)]))

    await asyncio.gather(tell_anew(), forgetting.forget(KEEP, actor="test"))
    assert len(await known(database)) == 40
    async with database.snapshot() as session:
        images = await session.scalar(select(func.count()).where(Instance.received_at == LONG_AFTER))
        assert images == 40
        assert await session.scalar(select(func.count()).select_from(Series)) == 40
        assert await session.scalar(select(func.count()).select_from(Study)) == 40
        for several in (StudyFacet, StudyTerm):
            uids = await session.scalar(select(func.count(several.study_instance_uid.distinct())))
            assert uids == 40, several


def test_the_command_tries_first_and_refuses_what_is_too_young(tmp_path: Path) -> None:
    def forget(*words: str) -> subprocess.CompletedProcess[str]:
        command = control_command("forget", "--data-dir", str(tmp_path), *words)
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    refused = forget("--older-than", "29d")
    assert refused.returncode == 2
    assert "at least 30" in refused.stderr
    asyncio.run(_one_old_study(tmp_path))
    tried = forget("--older-than", "31d", "--dry-run", "--json")
    expected = {"studies": 1, "instances": 1, "deliveries": 1}
    assert json.loads(tried.stdout) == {"dry_run": True, **expected}, tried.stderr
    assert "1 studies are forgotten, with 1 images" in forget("--older-than", "31d").stdout
    assert json.loads(forget("--older-than", "31d", "--json").stdout)["studies"] == 0


async def _one_old_study(folder: Path) -> None:
    database = open_database(f"sqlite:///{folder / 'control.db'}")
    await upgrade(database)
    await SiteService(database, AuditService(database, utcnow), utcnow).add("north", actor="test")
    await InboxService(database, utcnow).push(NORTH, batch(delivered(1, "1.1")))
    await database.close()
