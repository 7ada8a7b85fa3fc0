"""`skerry-control forget`: one round of forgetting, beside a control plane that may run meanwhile."""

from __future__ import annotations

import asyncio
import getpass
import time
from datetime import timedelta

import typer

from control.audit.service import AuditService
from control.clock import utcnow
from control.db.session import open_database
from control.errors import SettingsError
from control.forgetting.repository import Counted
from control.forgetting.service import ForgettingService
from control.settings import Settings, read_days

SAY_SECONDS = 2.0


def run(settings: Settings, older_than: str, *, dry_run: bool) -> Counted:
    """What was forgotten, or would be.

    Raises:
        SettingsError: that is no time after which studies may be forgotten.
    """
    try:
        keep = read_days(older_than)
    except ValueError as error:
        raise SettingsError(f"--older-than: {error}.") from None
    if not isinstance(keep, timedelta):
        raise SettingsError("--older-than: write a number of days, for example 730d.")
    return asyncio.run(_run(settings, keep, dry_run=dry_run))


async def _run(settings: Settings, keep: timedelta, *, dry_run: bool) -> Counted:
    database = open_database(settings.database_url())
    try:
        forgetting = ForgettingService(database, AuditService(database, utcnow), utcnow)
        if dry_run:
            return await forgetting.would_forget(keep, _Said())
        return await forgetting.forget(keep, actor=f"local:{getpass.getuser()}", progress=_Said())
    finally:
        await database.close()


class _Said:
    """Tells people how far it is, every two seconds."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def __call__(self, so_far: Counted) -> None:
        if time.monotonic() - self._last >= SAY_SECONDS:
            self._last = time.monotonic()
            typer.echo(f"{so_far.studies} studies so far", err=True)
