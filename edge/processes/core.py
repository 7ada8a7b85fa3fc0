"""The process that routes what was received, keeps the index, gives room back, speaks to the centre, and tells."""

from __future__ import annotations

from edge.core_beat import CoreBeat
from edge.node import Node
from edge.policy.document import load_policy
from edge.processes.child import Child, serve
from edge.run_dir import LOCAL_POLICY, RunDir


def main() -> None:
    """Be core."""
    serve(_work)


def _work(child: Child) -> None:
    launch = child.launch
    bells = [child.bell(name) for name in launch.bells if name.startswith("forward")]

    def admitted() -> None:
        for bell in bells:
            bell.ring()

    policy = None
    if launch.policy is not None:
        policy = load_policy(launch.policy)
        RunDir(launch.settings.data_dir).write(LOCAL_POLICY, launch.policy)
    node = Node(launch.settings, policy, dicom=launch.dicom, admitted=admitted)
    host, port = node.start()
    child.bell("outbox").listen(node.outbox_grew)
    child.bell("look").listen(node.look_again)
    beat = CoreBeat(RunDir(launch.settings.data_dir), alive=node.alive, waiting=node.waiting)
    if launch.agent >= 0:
        beat.start()
    child.serves(node.alive, http=f"{host}:{port}")
    child.stopping.wait()
    beat.stop()
    node.stop()
