"""A drain waits for what is open, ends in maint, and never leaves modalities without anybody, unless it is meant."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from haproxy.errors import LastMember, UnknownNode
from haproxy.manager.interface import Applied
from haproxy.manager.process import Haproxy
from haproxy.manager.site import Site
from haproxy.places import Places
from mesh.pools import MaintenanceModel
from provisioning.local.ports import free_port
from provisioning.local.storescp import StoreScp
from tests.haproxy_pool import association, document, echoes, managed, member, short_folder, until, working

BOTH = {"box-a", "box-b"}


class Standing:
    """A site with two receivers that work."""

    def __init__(self, places: Places, site: Site, port: int, members: dict[str, int]) -> None:
        self.places, self.site, self.port, self.members = places, site, port, members

    def holder(self) -> str:
        """Who has the open association."""
        until(lambda: any(one.sessions for one in self.site.report().members), "somebody has it")
        return next(one.node for one in self.site.report().members if one.sessions)


@pytest.fixture
def members(tmp_path: Path) -> Iterator[dict[str, int]]:
    with StoreScp(tmp_path / "a", name="a") as one, StoreScp(tmp_path / "b", name="b") as two:
        yield {"box-a": one.port, "box-b": two.port}


@pytest.fixture
def stand(members: dict[str, int]) -> Iterator[Standing]:
    with short_folder() as folder:
        places = Places(data_dir=folder)
        places.prepare()
        with managed(places) as site:
            port = free_port()
            assert isinstance(site.offer(document(port, members), fingerprint="1"), Applied)
            until(lambda: working(site) == BOTH, "both members work")
            yield Standing(places, site, port, members)


def test_a_drain_lets_the_open_association_end_and_then_rests_the_node(stand: Standing) -> None:
    site = stand.site
    with association(stand.port) as opened:
        node = stand.holder()
        told = site.say_state(node, "drain")
        assert told["sessions"] == 1
        assert {tuple(left["members"]) for left in told["left"].values()} == {tuple(BOTH - {node})}
        assert {left["share"] for left in told["left"].values()} == {0.5}
        for _ in range(5):
            with association(stand.port) as another:
                assert echoes(another)
                until(lambda: sum(one.sessions for one in site.report().members) >= 2, "the new one is seen")
                assert member(site, node).sessions == 1, "new ones go elsewhere"
        assert echoes(opened)
        assert member(site, node).admin == "drain"
    until(lambda: member(site, node).admin == "maint", "it rests when the last one has ended")
    site.say_state(node, "ready")
    until(lambda: working(site) == BOTH, "it is back")


def test_a_drain_becomes_maint_at_its_deadline_and_what_is_open_goes_on(stand: Standing) -> None:
    with association(stand.port) as opened:
        node = stand.holder()
        stand.site.say_state(node, "drain", seconds=2)
        took = until(lambda: member(stand.site, node).admin == "maint", "the deadline")
        assert 0.5 < took < 5
        assert echoes(opened)


def test_the_last_member_that_works_is_not_drained_unless_it_is_meant(stand: Standing) -> None:
    site = stand.site
    site.say_state("box-a", "maint")
    until(lambda: working(site) == {"box-b"}, "one is left")
    with pytest.raises(LastMember):
        site.say_state("box-b", "drain")
    with pytest.raises(LastMember):
        site.say_state("box-b", "maint", dry_run=True)
    with pytest.raises(LastMember):
        site.say_weight("box-b", 0)
    assert member(site, "box-b").admin == "ready"
    site.say_state("box-b", "drain", last=True)
    until(lambda: member(site, "box-b").admin == "maint", "it was meant")
    assert "no-member" in {held.code for held in site.report().conditions}


def test_a_dry_run_changes_nothing(stand: Standing) -> None:
    told = stand.site.say_state("box-a", "drain", dry_run=True)
    assert told["dry_run"] is True
    time.sleep(0.3)
    assert working(stand.site) == BOTH
    assert stand.site.report().words == ()


def test_a_node_that_no_pool_has_is_an_error_that_names_those_there_are(stand: Standing) -> None:
    with pytest.raises(UnknownNode) as raised:
        stand.site.say_state("box-c", "drain")
    assert raised.value.hint == "Members are: box-a, box-b."


def test_haproxy_that_is_killed_is_there_again_and_a_drained_node_stays_so(stand: Standing) -> None:
    site = stand.site
    site.say_state("box-a", "drain")
    until(lambda: member(site, "box-a").admin == "maint", "it rests")
    found = Haproxy(stand.places).find()
    assert found is not None
    assert found.worker is not None

    os.kill(found.master, signal.SIGKILL)
    os.kill(found.worker, signal.SIGKILL)
    until(lambda: "haproxy-restarted" in {held.code for held in site.report().conditions}, "it is told")
    until(lambda: working(site) == {"box-b"}, "the other one works again")
    assert member(site, "box-a").admin == "maint"


def test_a_manager_that_starts_again_adopts_haproxy_and_remembers_what_was_said(members: dict[str, int]) -> None:
    with short_folder() as folder:
        places = Places(data_dir=folder)
        places.prepare()
        port = free_port()
        first = Site(places, reload_seconds=0.0, look_seconds=0.1)
        first.start()
        try:
            assert isinstance(first.offer(document(port, members), fingerprint="1"), Applied)
            until(lambda: working(first) == BOTH, "both members work")
            first.say_state("box-a", "drain", by="somebody")
            until(lambda: member(first, "box-a").admin == "maint", "it rests")
            first.say_weight("box-b", 50)
            with association(port) as opened:
                first.stop()
                assert echoes(opened), "HAProxy needs no manager"
                with managed(places) as second:
                    until(lambda: len(second.report().members) == 2, "it found everything")
                    assert second.report().reloads == 0, "and had to change nothing"
                    assert second.report().order == 1
                    assert member(second, "box-a").admin == "maint"
                    assert member(second, "box-b").weight == 50
                    assert echoes(opened)
        finally:
            first.stop(with_haproxy=True)


def test_hours_of_maintenance_drain_a_node_and_bring_it_back(members: dict[str, int]) -> None:
    clock = [datetime(2026, 3, 1, 1, 59, 59, tzinfo=UTC)]
    asked = document(free_port(), members)
    hours = MaintenanceModel.model_validate({"node": "box-a", "from": "02:00", "until": "04:00", "zone": "UTC"})
    both = [hours, hours.model_copy(update={"node": "box-b"})]
    asked = asked.model_copy(update={"pools": [asked.pools[0].model_copy(update={"maintenance": both})]})
    with short_folder() as folder:
        places = Places(data_dir=folder)
        places.prepare()
        with managed(places, now=lambda: clock[0]) as site:
            assert isinstance(site.offer(asked, fingerprint="1"), Applied)
            until(lambda: working(site) == BOTH, "both members work")
            clock[0] = datetime(2026, 3, 1, 2, 0, 0, tzinfo=UTC)
            until(lambda: member(site, "box-a").admin == "maint", "its hour has come")
            until(lambda: "hours-wait" in {held.code for held in site.report().conditions}, "the other one must wait")
            assert member(site, "box-b").admin == "ready"
            clock[0] = datetime(2026, 3, 1, 4, 0, 0, tzinfo=UTC)
            until(lambda: working(site) == BOTH, "the hours are over")
