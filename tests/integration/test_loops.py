"""Two nodes that point at each other settle, and a node that points at itself says so and sends nothing."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import pytest

from edge.buffer.view import BufferView
from edge.errors import UnknownInstance
from provisioning.errors import CommandFailed
from provisioning.local.command import own_script, run
from provisioning.local.edge import Edge
from tests.byte_peer import associated
from tests.edge_door import TunedEdge
from tests.edge_samples import data_set

COUNT = 5
POLICY = """\
skerry: 1
destinations:
  - {{name: other, kind: dicom, ae_title: {other}, host: 127.0.0.1, port: {port}, calling_ae_title: {own}}}
routes: [{{name: all, to: [other]}}]
retention: {{keep_delivered: 0s}}
"""


def node(home: Path, title: str) -> Edge:
    return Edge(home / title / "node", name=title, ae_title=title, policy=home / f"{title}.yaml")


def send(edge: Edge) -> None:
    with associated(edge.dicom_port) as peer:
        for number in range(COUNT):
            assert peer.store(f"1.2.77.{number}", data_set(f"1.2.77.{number}")) == 0x0000


def arrivals(edge: Edge) -> list[list[str]]:
    """What is odd about each arrival, by UID."""
    view, found = BufferView(edge.data_dir), []
    for number in range(COUNT):
        with contextlib.suppress(UnknownInstance):  # it has no row yet
            found += [one["flags"] for one in view.trace(f"1.2.77.{number}")]
    return found


def settle(*edges: Edge, counts: tuple[int, ...]) -> None:
    """Return when each has had so many arrivals and waits for nothing; fail when there are more."""
    deadline = time.monotonic() + 30

    def is_settled(edge: Edge, count: int) -> bool:
        facts = edge.facts()
        left = facts["deliveries_waiting"] + facts["instances_held"]
        return len(arrivals(edge)) == count and left == 0

    while not all(is_settled(edge, count) for edge, count in zip(edges, counts, strict=True)):
        assert time.monotonic() < deadline, [(arrivals(edge), edge.facts()) for edge in edges]
        time.sleep(0.2)
    time.sleep(3)  # a round takes milliseconds
    assert tuple(len(arrivals(edge)) for edge in edges) == counts


def test_two_nodes_that_point_at_each_other_settle_after_one_round(tmp_path: Path) -> None:
    one, other = node(tmp_path, "NODE-A"), node(tmp_path, "NODE-B")
    for own, peer in ((one, other), (other, one)):
        text = POLICY.format(own=own.name, other=peer.name, port=peer.dicom_port)
        (tmp_path / f"{own.name}.yaml").write_text(text)
    with one, other:
        send(one)
        settle(one, other, counts=(2 * COUNT, COUNT))
        assert arrivals(other) == [[]] * COUNT
        assert [bool(flags) for flags in arrivals(one)] == [False, True] * COUNT
        # Nothing is in either spool any more, and the modality sends all of it once more, as it may.
        send(one)
        settle(one, other, counts=(3 * COUNT, 2 * COUNT))
        assert arrivals(other) == [[], ["came-back"]] * COUNT
        assert "Images that other has come back from it" in other.conditions()["images-come-back"]
        assert one.facts()["deliveries_parked"] == other.facts()["deliveries_parked"] == 0
        told = other.command("trace", "1.2.77.0")
        assert "not sent: it came back from other, and other has these very bytes" in told


def test_a_node_that_points_at_itself_says_so_and_loses_nothing(tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    edge = TunedEdge(tmp_path / "site", policy=policy)
    policy.write_text(POLICY.format(own="SKERRY", other="SKERRY", port=edge.dicom_port))
    endpoint = f"127.0.0.1:{edge.dicom_port}"
    with pytest.raises(CommandFailed, match=f"`other` is the node itself, which listens at {endpoint}"):
        run([own_script("skerry-edge"), "policy", "check", str(policy), "--listen", endpoint])
    with edge:
        send(edge)
        edge.wait(lambda: "destination-down" in edge.conditions(), "the destination is taken for well")
        assert f"{endpoint} is this node itself" in edge.conditions()["destination-down"]
        time.sleep(2)
        assert len(arrivals(edge)) == COUNT
        facts = edge.facts()
        assert (facts["deliveries_waiting"], facts["deliveries_parked"]) == (COUNT, 0)
