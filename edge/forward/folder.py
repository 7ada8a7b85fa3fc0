"""A mounted folder as a destination: whole Part 10 files, visible at once or not at all."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import threading
import zlib
from collections.abc import Sequence
from pathlib import Path

from edge.buffer.spool import Spool
from edge.durable import sync_directory
from edge.errors import EdgeError
from edge.forward.base import Accepted, DestinationDown, Outcome, Settle, TryLater
from edge.forward.part10_file import head_of
from edge.forward.rendition import Rendition, open_rendition, unreadable
from edge.key_template import names_of
from edge.model import ClaimedDelivery, FolderDestination

_CHUNK = 1 << 20
_FOLDERS_REMEMBERED = 10_000
_WHOLE_MOUNT = frozenset(
    {
        *(errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ESTALE),
        *(errno.ENOTCONN, errno.EHOSTDOWN, errno.ETIMEDOUT),  # what a network mount says whose server is gone
    }
)
_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EINVAL})
_naming = threading.Lock()
"""Where a file system has no links, what keeps two lanes of this process from giving one name twice."""


class FolderForwarder:
    """Writes below the destination's path, under the name that its template gives.

    A UID that is no UID is replaced by our own id, so nothing that a peer sent can leave the folder. The file of
    another object with the same UID is never overwritten: the newcomer gets our id behind its name.
    """

    def __init__(self, destination: FolderDestination, spool: Spool) -> None:
        self._root, self._spool, self._transforms = Path(destination.path), spool, destination.transforms
        self._template = destination.template
        self._durable_folders: set[Path] = set()

    def deliver(self, deliveries: Sequence[ClaimedDelivery], settle: Settle) -> None:
        """See `Forwarder.deliver`. A missing or full folder is DestinationDown: the mount may come back."""
        for delivery in deliveries:
            if not _usable(self._root):
                raise DestinationDown("the folder is not there", hint="Create it or bring its mount back.")
            try:
                with open_rendition(self._spool, delivery, self._transforms) as rendition:
                    checksum = rendition.prove()
            except (EdgeError, OSError) as error:
                settle(delivery, unreadable(error))
                continue
            settle(delivery, self._outcome(delivery, rendition, checksum))

    def _outcome(self, delivery: ClaimedDelivery, proven: Rendition, checksum: int) -> Outcome:
        try:
            return Accepted(note=self._write(delivery, proven, checksum))
        except EdgeError as error:
            return unreadable(error)
        except OSError as error:
            words = os.strerror(error.errno or 0)
            if error.errno in _WHOLE_MOUNT or not _usable(self._root, writable=True):
                raise DestinationDown(
                    f"the folder cannot be written: {words}", hint="Check its space, its mount and its permissions."
                ) from error
            return TryLater(reason=f"its file or folder cannot be written: {words}")

    def close(self) -> None:
        """Nothing is open between deliveries."""

    def rest(self) -> None:
        """See `Forwarder.rest`: nothing is open."""

    def interrupt(self) -> None:
        """Nothing can wake a write that hangs in a mount; the lane is left behind then."""

    def _write(self, delivery: ClaimedDelivery, proven: Rendition, checksum: int) -> str:
        own_id = delivery.sealed.instance_id
        names = names_of(
            self._template,
            study=proven.study_instance_uid,
            series=proven.series_instance_uid,
            instance=proven.sop_instance_uid,
            own_id=own_id,
        )
        folder = (self._root / names[0]).parent
        self._make_folders(folder)
        if delivery.attempts > 1:
            for left in folder.glob(f".{own_id}.*.part"):
                left.unlink(missing_ok=True)
        for name in names:
            target = self._root / name
            if not os.path.lexists(target) and self._write_new(delivery, target):
                return ""
            if _holds(target, proven.length, checksum):
                _sync(target)
                return "already there"
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))

    def _write_new(self, delivery: ClaimedDelivery, target: Path) -> bool:
        """Whether the whole file stands under this name now; False when somebody else has taken the name."""
        aside = target.with_name(f".{delivery.sealed.instance_id}.{secrets.token_hex(8)}.part")
        try:
            with aside.open("xb") as out, open_rendition(self._spool, delivery, self._transforms) as rendition:
                out.write(head_of(rendition, delivery.sealed.facts))
                shutil.copyfileobj(rendition, out, _CHUNK)
                out.flush()
                os.fsync(out.fileno())
            named = _give_name(aside, target)
        finally:
            aside.unlink(missing_ok=True)
        sync_directory(target.parent)
        return named

    def _make_folders(self, folder: Path) -> None:
        """Make them, and sync their names once: an earlier process may have made them and died before it did so."""
        folder.mkdir(parents=True, exist_ok=True)
        if folder in self._durable_folders:
            return
        made = folder
        while made != self._root:
            made = made.parent
            sync_directory(made)
        if len(self._durable_folders) >= _FOLDERS_REMEMBERED:
            self._durable_folders.clear()
        self._durable_folders.add(folder)


def _usable(root: Path, *, writable: bool = False) -> bool:
    try:
        return root.is_dir() and (not writable or os.access(root, os.W_OK | os.X_OK))
    except OSError:
        return False


def _give_name(written: Path, target: Path) -> bool:
    """Give a written and synced file its name when nobody has that name yet; never overwrites."""
    try:
        os.link(written, target)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
    else:
        return True
    with _naming:
        if os.path.lexists(target):
            return False
        written.replace(target)
    return True


def _sync(target: Path) -> None:
    """What stands there survives a power cut from now on, whoever wrote it and however far they came."""
    with target.open("rb") as stream:
        os.fsync(stream.fileno())
    sync_directory(target.parent)


def _holds(target: Path, length: int, checksum: int) -> bool:
    """Whether the file ends with exactly this data set."""
    with target.open("rb") as stream:
        stream.seek(0, os.SEEK_END)
        if stream.tell() < length:
            return False
        stream.seek(-length, os.SEEK_END)
        found = 0
        while chunk := stream.read(_CHUNK):
            found = zlib.crc32(chunk, found)
    return found == checksum
