"""A person lets another policy run at the site for a while: audited, told to the centre, and it ends by itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge.buffer.view import BufferView
from edge.errors import UnknownInstance
from edge.sync.identity import save_identity
from edge.sync.policy_store import PolicyStore
from provisioning.errors import CommandFailed
from provisioning.local.edge import Edge
from tests.certificates import MeshAuthority
from tests.control_twin import ControlTwin, GrpcControl
from tests.edge_samples import data_set
from tests.scu import association, store
from tests.signed_policies import bundle

MESH = MeshAuthority()


def document(folder: Path, name: str) -> str:
    """Everything goes to one folder."""
    (folder / name).mkdir(exist_ok=True)
    return (
        f"skerry: 1\ndestinations:\n  - {{name: {name}, kind: folder, path: {folder / name}}}\n"
        f"routes:\n  - {{name: everything, to: [{name}]}}\n"
    )


def until(what: Callable[[], object], seconds: float = 30.0) -> None:
    """Wait for something to become true."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


@pytest.fixture
def server() -> Iterator[GrpcControl]:
    control = GrpcControl(ControlTwin(MESH))
    yield control
    control.stop()


def goes_to(edge: Edge, uid: str) -> str:
    """Where an image goes that comes now."""
    with association(edge.dicom_port) as peer:
        assert store(peer, uid, data_set(uid)) == 0x0000
    view = BufferView(edge.data_dir)

    def routed() -> list[str]:
        try:
            return [one["destination"] for one in view.trace(uid)[0]["deliveries"]]
        except UnknownInstance:
            return []

    until(routed)
    (found,) = routed()
    view.close()
    return found


def test_a_persons_policy_runs_until_it_ends_and_then_the_newest_of_the_centre(
    tmp_path: Path, server: GrpcControl
) -> None:
    twin, data_dir, file = server._twin, tmp_path / "node", tmp_path / "mine.yaml"
    file.write_text(document(tmp_path, "mine"))
    policies = PolicyStore(data_dir, site="north", public_key=MESH.policy_public_key)
    policies.activate(bundle(MESH, 1, text=document(tmp_path, "first")))
    save_identity(data_dir, MESH.identity(grpc_endpoint=server.endpoint))
    with Edge(data_dir) as edge:
        assert goes_to(edge, "1.2.5.1") == "first"

        tried = edge.ask("policy", "override", str(file), "--for", "4h", "--dry-run")
        assert (tried["dry_run"], tried["override"]["seconds"]) == (True, 14400)
        assert edge.ask("status")["override"] is None

        edge.ask("policy", "override", str(file), "--for", "4h", "--reason", "the archive moved")
        until(lambda: edge.facts()["policy"].startswith("local:"))
        assert goes_to(edge, "1.2.5.2") == "mine"
        assert edge.ask("status")["override"]["reason"] == "the archive moved"
        (explained,) = edge.ask("policy", "explain", "1.2.5.2")
        assert explained["policy"] == edge.facts()["policy"]
        assert [one["name"] for one in explained["destinations"]] == ["mine"]
        until(lambda: twin.statuses[-1].policy.HasField("override"))
        assert twin.statuses[-1].policy.override.for_seconds == 14400
        told = {one.code: one.text for one in twin.statuses[-1].conditions}
        assert "the archive moved" in told["policy-overridden"]

        # The centre publishes meanwhile, and the box goes down: nothing of it changes what runs.
        twin.publish(bundle(MESH, 2, text=document(tmp_path, "second")))
        until(lambda: policies.load().bundle.version.version == 2)  # type: ignore[union-attr]
        edge.kill()
        edge.start()
        assert goes_to(edge, "1.2.5.3") == "mine"
        assert twin.statuses[-1].policy.stage == "on_probation"

        edge.ask("policy", "override", "--end")
        until(lambda: edge.facts()["policy"] == "1.2")
        assert goes_to(edge, "1.2.5.4") == "second"
        until(lambda: twin.statuses[-1].policy.stage == "committed")
        assert not twin.statuses[-1].policy.HasField("override")

        edge.ask("policy", "override", str(file), "--for", "2s")
        until(lambda: edge.facts()["policy"].startswith("local:"))
        until(lambda: edge.facts()["policy"] == "1.2")
        actions = [one["action"] for one in edge.ask("audit")]
        assert actions == ["override expired", "override", "override ended", "override"]


def test_an_override_that_cannot_be_is_refused_with_what_to_do(tmp_path: Path) -> None:
    alone, enrolled, file = tmp_path / "alone", tmp_path / "enrolled", tmp_path / "mine.yaml"
    file.write_text(document(tmp_path, "mine"))
    (tmp_path / "bad.yaml").write_text("skerry: 1\nroutes: 7\n")
    alone.mkdir()
    save_identity(enrolled, MESH.identity())
    with pytest.raises(CommandFailed, match="follows no control plane"):
        Edge(alone).ask("policy", "override", str(file), "--for", "4h")
    node = Edge(enrolled)
    for arguments, words in (
        ((str(file),), "for how long"),
        ((str(file), "--for", "8d"), "at most 7d"),
        ((str(file), "--for", "soon"), "not a duration"),
        ((str(tmp_path / "bad.yaml"), "--for", "4h"), "destinations"),
        (("--end", "--for", "4h"), "takes no policy"),
    ):
        with pytest.raises(CommandFailed, match=words):
            node.ask("policy", "override", *arguments)
    assert node.ask("policy", "override")["override"] is None
    with (
        Edge(enrolled, policy=file) as local,
        pytest.raises(CommandFailed, match="started with"),
    ):
        local.ask("policy", "override", str(file), "--for", "4h")
