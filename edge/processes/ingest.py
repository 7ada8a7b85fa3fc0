"""A process that receives: the DICOM door, and custody in the spool. It waits for no other one."""

from __future__ import annotations

import socket

from edge.buffer.held import HeldInstances
from edge.buffer.intake import Intake
from edge.buffer.notices import NoticeSender
from edge.core_beat import CoreBeatSeen
from edge.draining import Draining
from edge.ingest.admission import networks
from edge.ingest.custody import Custody
from edge.ingest.disk_beat import DiskBeat
from edge.ingest.door import DicomDoor
from edge.ingest.pool_agent import PoolAgent
from edge.ingest.willingness import Facts
from edge.processes.child import Child, serve
from edge.run_dir import RunDir
from edge.siblings import SharedHealth

DOOR_GRACE_SECONDS = 1.0
"""How long open associations may go on when the node stops."""
TELL_SECONDS = 0.3


def main() -> None:
    """Be one that receives."""
    serve(_work)


def _work(child: Child) -> None:
    launch, settings = child.launch, child.settings
    health = SharedHealth(RunDir(settings.data_dir), launch.name)
    notices = NoticeSender(settings.data_dir)
    intake = Intake(settings.data_dir)
    intake.start()
    notices.start()
    custody = Custody(intake, notices.put, health, settings.min_free_bytes, refusals=HeldInstances(settings.data_dir))
    door = DicomDoor(settings, custody, socket.socket(fileno=launch.listener), process=launch.number)
    door.start()
    agent = _agent(child, custody, door) if launch.agent >= 0 else None
    child.serves(door.alive)
    child.stopping.wait()
    if agent is not None:
        agent.stop()
    door.stop(DOOR_GRACE_SECONDS)
    notices.stop(TELL_SECONDS)
    intake.stop()


def _agent(child: Child, custody: Custody, door: DicomDoor) -> PoolAgent:
    """What tells HAProxy how willing this node is."""
    settings = child.settings
    draining, core = Draining(settings.data_dir), CoreBeatSeen(RunDir(settings.data_dir))
    disk = DiskBeat(settings.data_dir / "spool")
    disk.start()

    def facts() -> Facts:
        silent, waiting = core.look()
        return Facts(
            asked_to_drain=draining.is_on(),
            room_on_disk=custody.takes(),
            disk_silent_seconds=disk.silent_seconds(),
            core_silent_seconds=silent,
            waiting=waiting,
            most_waiting=settings.agent_most_waiting,
            associations=door.associations(),
            most_associations=settings.max_associations,
        )

    agent = PoolAgent(socket.socket(fileno=child.launch.agent), facts, networks(settings.proxy_from))
    agent.start()
    return agent
