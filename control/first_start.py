"""What the first start leaves behind: a data directory of this process alone, and a password for the first user."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import structlog

from control.enrolment.ca_files import write_durably
from control.errors import SettingsError
from control.users.service import UserService

log = structlog.get_logger(__name__)

PASSWORD_FILE = "admin-password"


@contextlib.contextmanager
def owned(data_dir: Path) -> Iterator[None]:
    """The data directory, made when it is missing, and kept from every other process.

    Raises:
        SettingsError: it cannot be made, or another skerry-control has it.
    """
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(data_dir / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise SettingsError(f"The data directory {data_dir} cannot be used: {error.strerror}.") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise SettingsError(
            f"Another skerry-control uses the data directory {data_dir}.",
            hint="Stop it first. A second replica needs a data directory of its own and the same PostgreSQL.",
        ) from None
    try:
        yield
    finally:
        os.close(descriptor)


async def ensure_first_user(users: UserService, data_dir: Path) -> None:
    """Make the user `admin` when there is no user. The password is in a file that only this account can read.

    The file comes first: a crash in between leaves a file that the next start uses, never a user whom nobody knows.
    """
    if not await users.needs_first_user():
        return
    path = data_dir / PASSWORD_FILE
    try:
        password = path.read_text().strip()
    except FileNotFoundError:
        password = ""
    if not password:
        password = secrets.token_urlsafe(18)
        write_durably(path, f"{password}\n".encode(), mode=0o600)
    await users.add_first_user(password)
    log.info("users.first_user_made", password_file=str(path))
