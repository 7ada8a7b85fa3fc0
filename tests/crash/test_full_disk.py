"""A file system filled to its last block: nothing acknowledged is lost, 0xA700 is answered, and room brings it back."""

from __future__ import annotations

import contextlib
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioning.local.storescp import StoreScp
from tests.byte_peer import BytePeer, Ended
from tests.conftest import Figures
from tests.edge_door import TunedEdge
from tests.edge_samples import data_set
from tests.small_disk import fill, mounted


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 48 MB of its own; needs the right to mount."""
    with mounted(tmp_path) as place:
        yield place


def _send(
    edge: TunedEdge, prefix: str, count: int, acknowledged: dict[str, bytes], *, most: int = 200_000
) -> list[int]:
    """Statuses of this many instances; an association that ends is opened again."""
    chance, statuses, number = random.Random(prefix), [], 0
    while number < count:
        with BytePeer(edge.dicom_port, seconds=20) as peer:
            peer.associate()
            with contextlib.suppress(Ended, ConnectionError):
                while number < count:
                    number += 1
                    uid = f"1.2.9.{prefix}.{number}"
                    content = data_set(uid, body=chance.randbytes(chance.randrange(2, most) & ~1))
                    statuses.append(peer.store(uid, content, message_id=number))
                    if statuses[-1] == 0x0000:
                        acknowledged[uid] = content
    return statuses


@pytest.mark.parametrize("leave", [0, 300_000, 2_000_000])
def test_a_file_system_filled_to_the_last_block_loses_nothing_and_recovers(
    small_disk: Path, leave: int, figures: Figures
) -> None:
    """`min_free_bytes` is 0: not the watermark says no, but the disk itself, in whatever place it hits."""
    acknowledged: dict[str, bytes] = {}
    with TunedEdge(small_disk / "home", min_free_bytes=0, ready_spool_bytes=0) as edge:
        assert set(_send(edge, "1", 10, acknowledged)) == {0x0000}
        filler = fill(small_disk, leave=leave)
        full = _send(edge, "2", 40, acknowledged)
        assert set(full) <= {0x0000, 0xA700}
        assert 0xA700 in full
        assert edge.metric("skerry_edge_instances_refused_total", reason="spool-full") >= 1
        filler.unlink()
        edge.wait(lambda: _send(edge, "3", 1, {}) == [0x0000], "room does not bring it back", seconds=30)
        assert set(_send(edge, "4", 10, acknowledged)) == {0x0000}
        for uid, content in acknowledged.items():
            assert edge.stored(uid).data_set == content
        edge.kill()
        edge.start()
        for uid, content in acknowledged.items():
            assert edge.stored(uid).data_set == content
    figures(f"full disk: {leave} bytes left: {full.count(0)} taken, {full.count(0xA700)} refused, none lost")


def test_a_node_killed_on_a_full_disk_comes_up_again_and_has_everything(small_disk: Path) -> None:
    acknowledged: dict[str, bytes] = {}
    with TunedEdge(small_disk / "home", min_free_bytes=0, ready_spool_bytes=0) as edge:
        _send(edge, "1", 5, acknowledged)
        filler = fill(small_disk, leave=100_000)
        _send(edge, "2", 20, acknowledged, most=60_000)
        edge.kill()
        filler.unlink()
        edge.start()
        for uid, content in acknowledged.items():
            assert edge.stored(uid).data_set == content
        assert _send(edge, "3", 1, acknowledged) == [0x0000]


_WATERMARKS = """\
skerry: 1
destinations: [{{name: pacs, kind: dicom, ae_title: PACS, host: 127.0.0.1, port: {port}}}]
routes: [{{name: all, to: [pacs]}}]
retention: {{keep_delivered: 30d, high_water: 60%, low_water: 30%}}
"""


def test_watermarks_delete_nothing_that_waits_and_make_room_once_it_is_delivered(
    small_disk: Path, tmp_path: Path
) -> None:
    acknowledged: dict[str, bytes] = {}
    policy = tmp_path / "policy.yaml"
    pacs = StoreScp(tmp_path / "pacs")
    policy.write_text(_WATERMARKS.format(port=pacs.port))
    least = 8 << 20
    with TunedEdge(
        small_disk / "home", policy=policy, min_free_bytes=least, ready_spool_bytes=0, retry_cap_seconds=1.0
    ) as edge:
        full = _send(edge, "1", 150, acknowledged, most=800_000)
        assert set(full) == {0x0000, 0xA700}  # the door closes, as without watermarks
        edge.wait(lambda: "disk-above-high-water" in edge.conditions(), "nobody is told of the full disk")
        assert edge.facts()["instances_held"] == edge.facts()["deliveries_waiting"] == len(acknowledged)
        for uid, content in acknowledged.items():
            assert edge.stored(uid).data_set == content
        with pacs:
            edge.wait(lambda: edge.facts()["deliveries_waiting"] == 0, "not all is delivered", seconds=60)
            low = shutil.disk_usage(small_disk).total * 30 // 100
            edge.wait(lambda: shutil.disk_usage(small_disk).used <= low, "the disk is not emptied", seconds=60)
            assert edge.metric("skerry_edge_instances_evicted_total") > 0
            edge.wait(lambda: "disk-above-high-water" not in edge.conditions(), "it is still told", seconds=60)
            assert len(pacs.received()) == len(acknowledged)
            assert _send(edge, "2", 1, {}) == [0x0000]
