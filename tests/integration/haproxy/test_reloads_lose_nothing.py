"""A reload is hitless, what was said survives it, and what HAProxy does not take never goes live."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from haproxy.manager.interface import Applied, Rejected
from haproxy.manager.site import Site
from haproxy.places import Places
from provisioning.local.ports import LOOPBACK, free_port
from provisioning.local.storescp import StoreScp
from tests.conftest import Figures
from tests.haproxy_pool import association, document, echoes, managed, member, short_folder, until, working


@pytest.fixture
def members(tmp_path: Path) -> Iterator[dict[str, int]]:
    """Two receivers."""
    with StoreScp(tmp_path / "a", name="a") as one, StoreScp(tmp_path / "b", name="b") as two:
        yield {"box-a": one.port, "box-b": two.port}


@pytest.fixture
def site() -> Iterator[Site]:
    with short_folder() as folder:
        places = Places(data_dir=folder)
        places.prepare()
        with managed(places) as one:
            yield one


def test_an_open_association_and_a_drain_survive_twenty_reloads(
    site: Site, members: dict[str, int], figures: Figures
) -> None:
    port = free_port()
    assert site.offer(document(port, members), fingerprint="0") == Applied(order=1, reloaded=True)
    until(lambda: working(site) == {"box-a", "box-b"}, "both members work")
    with association(port) as opened:
        assert echoes(opened)
        until(lambda: any(one.sessions for one in site.report().members), "it is seen")
        holder = next(one.node for one in site.report().members if one.sessions)
        (other,) = members.keys() - {holder}
        site.say_state(other, "drain")
        until(lambda: member(site, other).admin == "maint", "an empty node is in maint at once")
        survived = drained = 0
        for number in range(20):
            outcome = site.offer(document(port, members, order=2 + number, most=101 + number), fingerprint=f"r{number}")
            assert outcome == Applied(order=2 + number, reloaded=True)
            survived += echoes(opened)
            drained += member(site, other).admin == "maint"
        assert member(site, holder).sessions == 1, "what is open in old workers is counted"
    figures(f"pools: 20 reloads with an open association: it answered after {survived}, the drain held after {drained}")
    assert (survived, drained) == (20, 20)
    assert site.report().reloads == 21


def test_a_configuration_that_haproxy_does_not_take_never_goes_live(site: Site, members: dict[str, int]) -> None:
    port = free_port()
    assert isinstance(site.offer(document(port, members), fingerprint="good"), Applied)
    until(lambda: working(site) == {"box-a", "box-b"}, "both members work")
    bad = document(free_port(), members, order=2)
    listener = (
        bad.pools[0]
        .listeners[0]
        .model_copy(update={"kind": "dicom-tls-terminated", "certificate": "/nowhere/door.pem"})
    )
    bad = bad.model_copy(update={"pools": [bad.pools[0].model_copy(update={"listeners": [listener]})]})
    outcome = site.offer(bad, fingerprint="bad")
    assert isinstance(outcome, Rejected)
    assert outcome.code == "check_failed"
    assert "/nowhere/door.pem" in outcome.words, "HAProxy's own words"
    with association(port) as opened:
        assert echoes(opened)
    report = site.report()
    assert (report.order, report.reloads, report.rejected) == (1, 1, outcome)
    until(lambda: "pools-rejected" in {held.code for held in site.report().conditions}, "a condition tells it")
    assert site.offer(bad, fingerprint="bad") == outcome, "the same bytes are not tried again"
    assert isinstance(site.offer(document(port, members, order=3), fingerprint="better"), Applied)
    until(lambda: not site.report().rejected, "what was mended clears it")


def test_an_address_that_another_program_has_is_found_at_the_reload_and_the_pools_before_go_on(
    site: Site, members: dict[str, int]
) -> None:
    port = free_port()
    assert isinstance(site.offer(document(port, members), fingerprint="good"), Applied)
    with socket.socket() as stranger:
        stranger.bind((LOOPBACK, 0))
        stranger.listen()
        taken = stranger.getsockname()[1]
        outcome = site.offer(document(taken, members, order=2), fingerprint="taken")
    assert isinstance(outcome, Rejected)
    assert outcome.code == "reload_failed"
    assert str(taken) in outcome.words
    until(lambda: working(site) == {"box-a", "box-b"}, "both members work as before")
    with association(port) as opened:
        assert echoes(opened)
    assert site.report().order == 1


def test_an_older_order_is_refused_and_nothing_changes(site: Site, members: dict[str, int]) -> None:
    port = free_port()
    assert isinstance(site.offer(document(port, members, order=5), fingerprint="5"), Applied)
    outcome = site.offer(document(port, members, order=4, most=7), fingerprint="4")
    assert isinstance(outcome, Rejected)
    assert outcome.code == "outdated"
    assert site.report().rejected is None, "nothing is wrong here"
