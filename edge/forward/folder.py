"""A mounted folder as a destination: whole Part 10 files, visible at once or not at all."""

from __future__ import annotations

import os
import re
import shutil
import zlib
from collections.abc import Sequence
from pathlib import Path

from edge.buffer.part10 import FileMeta, encode_meta
from edge.buffer.seal import PREAMBLE_LENGTH
from edge.buffer.spool import Spool
from edge.durable import publish, sync_directory
from edge.errors import SpoolError
from edge.forward.base import Accepted, DestinationDown, Refused, Settle
from edge.model import ClaimedDelivery, FolderDestination, SealedInstance

_SAFE_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
_CHUNK = 1 << 20


class FolderForwarder:
    """Writes `StudyInstanceUID/SeriesInstanceUID/SOPInstanceUID.dcm` below the destination's path.

    A UID that is no UID is replaced by our own id, so nothing that a peer sent can leave the folder. The file of
    another object with the same UID is never overwritten: the newcomer gets our id behind its name.
    """

    def __init__(self, destination: FolderDestination, spool: Spool) -> None:
        self._root, self._spool = Path(destination.path), spool

    def deliver(self, deliveries: Sequence[ClaimedDelivery], settle: Settle) -> None:
        """See `Forwarder.deliver`. A missing or full folder is DestinationDown: the mount may come back."""
        if not self._root.is_dir():
            raise DestinationDown("the folder is not there", hint="Create it or bring its mount back.")
        for delivery in deliveries:
            try:
                self._spool.verify(delivery.sealed)
            except SpoolError as error:
                settle(delivery, Refused(reason=str(error)))
                continue
            try:
                note = self._write(delivery)
            except OSError as error:
                raise DestinationDown(
                    f"the folder cannot be written: {os.strerror(error.errno or 0)}",
                    hint="Check its space, its mount and its permissions.",
                ) from error
            settle(delivery, Accepted(note=note))

    def close(self) -> None:
        """Nothing is open between deliveries."""

    def interrupt(self) -> None:
        """Nothing can wake a write that hangs in a mount; the lane is left behind then."""

    def _write(self, delivery: ClaimedDelivery) -> str:
        sealed = delivery.sealed
        folder = (
            self._root
            / _name(delivery.study_instance_uid, "no-study")
            / _name(delivery.series_instance_uid, "no-series")
        )
        _make_folders(folder, self._root)
        target = folder / f"{_name(sealed.sop_instance_uid, sealed.instance_id)}.dcm"
        if target.exists():
            if _holds(target, sealed):
                return "already there"
            target = folder / f"{target.stem}_{sealed.instance_id}.dcm"
        aside = folder / f".{sealed.instance_id}.part"
        with aside.open("wb") as out, self._spool.open_data_set(sealed) as source:
            out.write(bytes(PREAMBLE_LENGTH) + encode_meta(_meta(sealed)))
            shutil.copyfileobj(source, out, _CHUNK)
            out.flush()
            os.fsync(out.fileno())
        publish(aside, target)
        return ""


def _name(uid: str, otherwise: str) -> str:
    return uid if len(uid) <= 64 and _SAFE_UID.fullmatch(uid) else otherwise


def _meta(sealed: SealedInstance) -> FileMeta:
    return FileMeta(
        sop_class_uid=sealed.sop_class_uid,
        sop_instance_uid=sealed.sop_instance_uid,
        transfer_syntax_uid=sealed.transfer_syntax_uid,
        facts=sealed.facts,
    )


def _holds(target: Path, sealed: SealedInstance) -> bool:
    """Whether the file ends with exactly this data set."""
    with target.open("rb") as stream:
        stream.seek(0, os.SEEK_END)
        if stream.tell() < sealed.data_set_length:
            return False
        stream.seek(-sealed.data_set_length, os.SEEK_END)
        checksum = 0
        while chunk := stream.read(_CHUNK):
            checksum = zlib.crc32(chunk, checksum)
    return checksum == sealed.checksum


def _make_folders(folder: Path, root: Path) -> None:
    if folder.is_dir():
        return
    folder.mkdir(parents=True, exist_ok=True)
    for made in (folder.parent, root):
        sync_directory(made)
