"""A process that receives: the DICOM door, and custody in the spool. It waits for no other one."""

from __future__ import annotations

import socket

from edge.buffer.held import HeldInstances
from edge.buffer.intake import Intake
from edge.buffer.notices import NoticeSender
from edge.ingest.custody import Custody
from edge.ingest.door import DicomDoor
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
    child.serves(door.alive)
    child.stopping.wait()
    door.stop(DOOR_GRACE_SECONDS)
    notices.stop(TELL_SECONDS)
    intake.stop()
