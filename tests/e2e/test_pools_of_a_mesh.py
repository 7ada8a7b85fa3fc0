"""A site's HAProxy follows its policy and its nodes through the real control plane, and works on when that is gone."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from provisioning.local.dcmsend import send
from provisioning.local.images import Image, prepare, shipped_files
from provisioning.local.mesh import Mesh, Site, SitePlan
from tests.conftest import Figures
from tests.haproxy_pool import until
from tests.real_programs import require

pytestmark = pytest.mark.timeout(180)
BROKEN = """      - name: tls
        kind: dicom-tls-terminated
        bind: '127.0.0.1:2762'
        certificate: /nowhere/door.pem
"""


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    require("storescp", "dcmsend", "haproxy")
    with Mesh(tmp_path_factory.mktemp("pools")) as mesh:
        mesh.start_centre()
        mesh.add_site(SitePlan(name="north", nodes=("north-1", "north-2"), pool=True))
        mesh.wait_until_in_force()
        yield mesh


@pytest.fixture
def site(mesh: Mesh) -> Site:
    found = mesh.sites["north"]
    until(lambda: working(found) == {"north-1", "north-2"}, "both nodes work behind HAProxy", seconds=60)
    return found


def local(site: Site) -> Mapping[str, Any]:
    assert site.pool is not None
    return site.pool.facts()


def working(site: Site) -> set[str]:
    return {one["node"] for one in local(site)["members"] if one["up"] and one["admin"] == "ready"}


def at_centre(mesh: Mesh) -> Mapping[str, Any]:
    (found,) = mesh.control.ask("pool", "show", "north")
    return dict(found)


def images(folder: Path) -> Sequence[Image]:
    return prepare((path for path in shipped_files() if path.name == "CT_small.dcm"), folder, fresh=True).images


def hand_over(site: Site, folder: Path) -> None:
    batch = images(folder)
    report = send([one.path for one in batch], port=site.pool_port, called="SKERRY")
    assert len(report.succeeded) == len(batch), report.failed


def test_members_join_by_themselves_and_a_word_from_the_centre_reaches_haproxy(
    mesh: Mesh, site: Site, tmp_path: Path, figures: Figures
) -> None:
    hand_over(site, tmp_path / "one")
    until(lambda: len(at_centre(mesh)["managers"]) == 1, "the manager has reported", seconds=30)
    begun = time.monotonic()
    mesh.control.command("pool", "drain", "north", "north-1")
    until(lambda: working(site) == {"north-2"}, "it drains", seconds=15)
    figures(f"pool: a word from the centre reached HAProxy in {time.monotonic() - begun:.1f} s, the command with it")
    hand_over(site, tmp_path / "two")
    until(lambda: "maint" in mesh.control.command("pool", "show", "north"), "the centre sees it", seconds=30)
    mesh.control.command("pool", "ready", "north", "north-1")
    until(lambda: working(site) == {"north-1", "north-2"}, "it is back", seconds=15)


def test_pools_that_haproxy_refuses_never_go_live_and_the_reason_reaches_the_centre(
    mesh: Mesh, site: Site, tmp_path: Path
) -> None:
    good = site.policy_file.read_text()
    site.policy_file.write_text(good + BROKEN)
    mesh.control.command("policy", "publish", "north", str(site.policy_file))

    def refused() -> str:
        (manager,) = at_centre(mesh)["managers"]
        rejected = manager["report"]["rejected"]
        return str(rejected["words"]) if rejected else ""

    until(lambda: "/nowhere/door.pem" in refused(), "HAProxy's own words at the centre", seconds=60)
    assert working(site) == {"north-1", "north-2"}
    hand_over(site, tmp_path / "images")
    site.policy_file.write_text(good)
    mesh.control.command("policy", "publish", "north", str(site.policy_file))
    until(lambda: not refused(), "what was mended clears it", seconds=60)


def test_without_its_centre_a_site_drains_and_sends_and_the_centre_hears_of_it_later(
    mesh: Mesh, site: Site, tmp_path: Path
) -> None:
    assert site.pool is not None
    mesh.control.stop()
    try:
        answer = site.pool.ask("drain", "north-2", "--wait", "--deadline", "20")
        assert set(answer["states"].values()) == {"maint"}
        hand_over(site, tmp_path / "images")
    finally:
        mesh.control.start()
    until(
        lambda: any(
            word["node"] == "north-2" and word["state"] == "drain"
            for manager in at_centre(mesh)["managers"]
            for word in manager["report"]["words"]
        ),
        "the centre hears of it",
        seconds=60,
    )
    mesh.control.command("pool", "ready", "north", "north-2")
    until(lambda: working(site) == {"north-1", "north-2"}, "the centre's later word holds", seconds=30)
