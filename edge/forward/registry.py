"""Which class delivers to which kind of destination: one explicit table."""

from __future__ import annotations

from edge.buffer.spool import Spool
from edge.forward.base import Forwarder
from edge.forward.cstore import CStoreForwarder
from edge.forward.folder import FolderForwarder
from edge.model import Destination, DicomDestination, FolderDestination


def forwarder_for(destination: Destination, spool: Spool) -> Forwarder:
    """The forwarder of this destination."""
    match destination:
        case DicomDestination():
            return CStoreForwarder(destination, spool)
        case FolderDestination():
            return FolderForwarder(destination, spool)
