"""Where the manager keeps what must outlive it: everything in one data directory, which belongs to one manager."""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from haproxy.errors import DataDirInUse, SettingsError

LONGEST_SOCKET = 90
"""A UNIX socket's name has 107 bytes, and HAProxy appends its process number while it makes one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """The files of one manager and its HAProxy."""

    data_dir: Path
    haproxy: str = "/usr/sbin/haproxy"
    """The program."""
    attached_master: Path | None = None
    """The socket of a master that somebody else runs."""
    attached_config: Path | None = None
    """The file which that master reads."""

    @property
    def config(self) -> Path:
        """What HAProxy reads at its next reload or start."""
        return self.attached_config or self.data_dir / "haproxy.cfg"

    @property
    def candidate(self) -> Path:
        """A configuration that nobody has checked yet, on the same disk as the other one."""
        return self.config.with_name(f"{self.config.name}.candidate")

    @property
    def master_socket(self) -> Path:
        """HAProxy's master."""
        return self.attached_master or self.data_dir / "master.sock"

    @property
    def stats_socket(self) -> Path:
        """The accepting worker's runtime API."""
        return self.data_dir / "stats.sock"

    @property
    def exporter_socket(self) -> Path:
        """HAProxy's own metrics over HTTP."""
        return self.data_dir / "exporter.sock"

    @property
    def server_state(self) -> Path:
        """What a worker reads of its servers when it starts."""
        return self.data_dir / "server-state"

    @property
    def haproxy_log(self) -> Path:
        """What HAProxy says on standard error."""
        return self.data_dir / "haproxy.log"

    @property
    def haproxy_lock(self) -> Path:
        """Held by every process of an HAProxy that a manager started."""
        return self.data_dir / "haproxy.lock"

    @property
    def document(self) -> Path:
        """The last document that was applied."""
        return self.data_dir / "pools.json"

    @property
    def rejections(self) -> Path:
        """What was refused."""
        return self.data_dir / "rejected.json"

    @property
    def words(self) -> Path:
        """What people at the site said."""
        return self.data_dir / "words.json"

    @property
    def control_socket(self) -> Path:
        """Where the running manager takes local commands."""
        return self.data_dir / "control.sock"

    def prepare(self) -> None:
        """Make the directory.

        Raises:
            SettingsError: sockets in it would have names that are too long.
        """
        self.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        if len(os.fsencode(self.stats_socket)) > LONGEST_SOCKET:
            raise SettingsError(
                f"{self.data_dir} is too long a name for sockets",
                hint=f"Give a --data-dir of at most {LONGEST_SOCKET - 14} characters, such as /var/lib/skerry-haproxy.",
            )


def lock_data_dir(places: Places) -> IO[str]:
    """Own the data directory until the returned file is closed. No child inherits it.

    Raises:
        DataDirInUse: another manager owns it.
    """
    lock = (places.data_dir / "lock").open("a+", encoding="utf-8")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.close()
        raise DataDirInUse(f"another skerry-haproxy owns {places.data_dir}") from error
    return lock
