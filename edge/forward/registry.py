"""Which class delivers to which kind of destination: one explicit table."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from edge import model
from edge.buffer.spool import Spool
from edge.forward.base import Forwarder
from edge.forward.budget import Meters
from edge.forward.credentials import Credentials
from edge.forward.cstore import CStoreForwarder
from edge.forward.folder import FolderForwarder
from edge.forward.group import GroupForwarder
from edge.forward.in_their_name import InTheirName
from edge.forward.verifying import Asker
from edge.model import (
    Destination,
    DicomDestination,
    DicomWebDestination,
    FolderDestination,
    GroupDestination,
    S3Destination,
)


def asker_for(destination: Destination, spool: Spool, data_dir: Path) -> Asker | None:
    """Who asks this destination for what it acknowledged; None when the policy asks for no verification."""
    match destination:
        case DicomDestination(verify="find"):
            from edge.forward.find import FindAsker  # few nodes verify

            return FindAsker(destination, data_dir)
        case DicomWebDestination(verify="qido"):
            from edge.forward.dicomweb import DicomWebForwarder
            from edge.forward.qido import QidoAsker

            return QidoAsker(DicomWebForwarder(destination, spool, Credentials(data_dir)))
    return None


def forwarder_for(destination: Destination, spool: Spool, data_dir: Path, meters: Meters) -> Forwarder:
    """The forwarder of this destination. A library that few nodes need is loaded by those that do."""
    if isinstance(destination, GroupDestination):
        members = {one.name: forwarder_for(one, spool, data_dir, meters) for one in destination.members}
        return GroupForwarder(destination, members)
    spool = meters.spool(spool, destination.budget)
    match destination:
        case DicomDestination(calling_ae_title=model.SOURCE):
            return InTheirName(lambda name: CStoreForwarder(replace(destination, calling_ae_title=name), spool))
        case DicomDestination():
            return CStoreForwarder(destination, spool)
        case FolderDestination():
            return FolderForwarder(destination, spool)
        case DicomWebDestination():
            from edge.forward.dicomweb import DicomWebForwarder

            return DicomWebForwarder(destination, spool, Credentials(data_dir))
        case S3Destination():
            from edge.forward.s3 import S3Forwarder

            return S3Forwarder(destination, spool, Credentials(data_dir))
