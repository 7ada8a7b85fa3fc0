"""A site is upgraded node by node while four modalities send, and none of them notices; nor when a node dies."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from provisioning.local.command import own_script
from tests.conftest import Figures
from tests.haproxy_pool import until
from tests.pool_site import Counts, PoolSite, pool_site

pytestmark = pytest.mark.timeout(240)

SCRIPT = """#!/bin/sh
# Somebody else does it, and says when it is done: what a site's own script does over ssh.
echo "$SKERRY_STEP" > "{hands}/$SKERRY_NODE.asked"
while [ ! -e "{hands}/$SKERRY_NODE.answer" ]; do sleep 0.05; done
answer=$(cat "{hands}/$SKERRY_NODE.answer"); rm "{hands}/$SKERRY_NODE.answer"
exit "$answer"
"""
Hand = Callable[[PoolSite, str, str], int]
"""Does a step of the upgrade of a node, and returns how the script ends."""


def release(folder: Path, number: str) -> str:
    """A release of the program with another version, as PYTHONPATH finds it first."""
    metadata = folder / number / f"skerry-{number}.dist-info" / "METADATA"
    metadata.parent.mkdir(parents=True)
    metadata.write_text(f"Metadata-Version: 2.1\nName: skerry\nVersion: {number}\n")
    return str(folder / number)


def upgrade(site: PoolSite, hand: Hand, *options: str) -> tuple[int, dict[str, str], str]:
    """Run `skerry-haproxy upgrade`, and do in this thread what its script asks for."""
    hands = site.home / "hands"
    hands.mkdir(exist_ok=True)
    script = hands / "upgrade.sh"
    script.write_text(SCRIPT.format(hands=hands))
    script.chmod(0o755)
    command = [own_script("skerry-haproxy"), "upgrade", "--script", str(script), "--json", *options]
    with subprocess.Popen(
        [*command, "--data-dir", str(site.manager.data_dir)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        while running.poll() is None:
            for asked in hands.glob("*.asked"):
                step = asked.read_text().strip()
                if step:
                    asked.unlink()
                    answer = hand(site, asked.stem, step)
                    (hands / f"{asked.stem}.part").write_text(f"{answer}\n")
                    (hands / f"{asked.stem}.part").rename(hands / f"{asked.stem}.answer")
            time.sleep(0.02)
        out, talk = running.communicate(timeout=10)
    return running.returncode, dict(json.loads(out)["nodes"]), talk


def versions(site: PoolSite) -> set[str]:
    return {str(node.facts()["version"]) for node in site.nodes.values()}


def restart_as(path: str) -> Hand:
    def hand(site: PoolSite, name: str, _step: str) -> int:
        node = site.nodes[name]
        node.stop()
        node._env["PYTHONPATH"] = path
        node.start()
        return 0

    return hand


def test_a_rolling_upgrade_under_load_fails_no_store_and_loses_nothing(tmp_path: Path, figures: Figures) -> None:
    newer = release(tmp_path / "releases", "9.9.9")
    with pool_site(tmp_path) as site:
        with site.load() as modalities:
            until(lambda: all(one.done for one in modalities), "every modality sends")
            code, nodes, talk = upgrade(site, restart_as(newer), "--deadline", "60", "--health", "60")
            time.sleep(1)
        counts = Counts([done for one in modalities for done in one.done])
        assert (code, nodes) == (0, {"box-1": "done", "box-2": "done"}), talk
        assert versions(site) == {"9.9.9"}
        lost = site.wait_delivered(counts.acknowledged)
        failed = sum(one.failed for one in counts.associations)
        figures(
            f"rolling upgrade of two nodes, four modalities: {len(counts.associations)} associations, "
            f"{len(counts.acknowledged)} acknowledged, {failed} failed C-STOREs, {len(lost)} lost, "
            f"longest pause between two {counts.longest_pause:.1f} s"
        )
        assert len(counts.acknowledged) > 100, "the load must be real"
        assert (failed, lost) == (0, set())


def test_a_node_that_is_killed_takes_only_its_open_associations_with_it(tmp_path: Path, figures: Figures) -> None:
    with pool_site(tmp_path) as site:
        with site.load(images=60) as modalities:  # long associations, so that some are open on it
            until(lambda: sum(len(one.done) for one in modalities) > 8, "every modality sends")
            victim = site.nodes["box-1"]
            killed = time.monotonic()
            victim.kill()
            site.wait_working("box-2", seconds=10)
            time.sleep(3)
        counts = Counts([done for one in modalities for done in one.done])
        later = [one for one in counts.associations if one.begun > killed]
        first = min(one.ended for one in later if not one.failed) - killed
        victim.start()
        site.wait_working("box-1", "box-2")
        lost = site.wait_delivered(counts.acknowledged)
        figures(
            f"one of two nodes killed, four modalities: {len(counts.associations)} associations, "
            f"{len(counts.failed)} cut, all open at that moment, {len(counts.acknowledged)} acknowledged, "
            f"{len(lost)} lost, the next one done after {first:.2f} s, "
            f"longest pause between two {counts.longest_pause:.2f} s"
        )
        assert later, "they go on"
        assert all(one.begun <= killed <= one.ended for one in counts.failed), counts.failed
        assert len(counts.failed) <= 4
        assert not lost
        assert first < 3
        assert counts.longest_pause < 3


def test_a_node_that_is_not_well_after_its_upgrade_goes_the_way_back_and_no_other_is_touched(tmp_path: Path) -> None:
    asked = []

    def hand(site: PoolSite, name: str, step: str) -> int:
        asked.append((name, step))
        node = site.nodes[name]
        node.stop()
        if step == "roll-back":
            node.start()
        return 0

    with pool_site(tmp_path) as site:
        code, nodes, talk = upgrade(site, hand, "--health", "2")
        assert (code, nodes) == (1, {"box-1": "back", "box-2": "drain"}), talk
        assert asked == [("box-1", "upgrade"), ("box-1", "roll-back")]
        assert "it is not well after 2 s" in talk
        site.wait_working("box-1", "box-2")


def test_a_node_that_cannot_be_taken_back_stays_out_and_a_person_is_told(tmp_path: Path) -> None:
    with pool_site(tmp_path) as site:
        code, nodes, talk = upgrade(site, lambda _site, _name, _step: 7)
        assert (code, nodes) == (1, {"box-1": "stuck", "box-2": "drain"}), talk
        assert "upgrade.sh ended with 7" in talk
        assert site.working() == {"box-2"}


def test_an_upgrade_that_was_interrupted_goes_on_where_it_was(tmp_path: Path) -> None:
    asked: list[tuple[str, str]] = []

    def hand(_site: PoolSite, name: str, step: str) -> int:
        asked.append((name, step))
        return 0

    with pool_site(tmp_path) as site:
        journal = site.manager.data_dir / "upgrade.json"
        script = str(site.home / "hands" / "upgrade.sh")
        journal.write_text(json.dumps({"script": script, "steps": {"box-1": "done", "box-2": "upgrade"}}))
        code, nodes, talk = upgrade(site, hand)
        assert (code, nodes) == (0, {"box-1": "done", "box-2": "done"}), talk
        assert asked == [("box-2", "upgrade")]
        assert "it goes on" in talk


def test_an_upgrade_is_not_begun_when_it_would_leave_nobody(tmp_path: Path) -> None:
    with pool_site(tmp_path, nodes=1) as site:
        command = [own_script("skerry-haproxy"), "upgrade", "--script", "/bin/true"]
        done = subprocess.run(
            [*command, "--data-dir", str(site.manager.data_dir)],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert done.returncode == 1
        assert "box-1 is the only member that works" in done.stderr
        assert site.working() == {"box-1"}
