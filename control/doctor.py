"""Looks at what a control plane needs on its machine, and says what to do. Changes nothing."""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import socket
import ssl
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path

from cryptography import x509
from sqlalchemy import text

from control.db.session import open_database
from control.db.upgrade import is_current
from control.enrolment.ca_files import CA_KEY, POLICY_KEY, MeshKeys, load, read_passphrase
from control.errors import ControlError
from control.settings import Address, Settings

LOW_BYTES = 1 << 30
CONNECT_SECONDS = 5.0
CA_SOON = timedelta(days=365)


class Verdict(StrEnum):
    """How a look ended."""

    OK = "ok"
    WARN = "warn"
    FAIL = "FAIL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one look found."""

    what: str
    verdict: Verdict
    text: str
    hint: str = ""


def examine(settings: Settings, now: datetime) -> Sequence[Finding]:
    """Every look, in the order in which things depend on each other."""
    looks: Sequence[Callable[[], Iterator[Finding]]] = (
        lambda: _data_dir(settings.data_dir),
        lambda: _keys(settings, now),
        lambda: _room(settings.data_dir),
        lambda: _database(settings),
        lambda: _ports(settings),
        lambda: _broker(settings, now),
    )
    return [finding for look in looks for finding in look()]


def _data_dir(path: Path) -> Iterator[Finding]:
    what = "data directory"
    if not path.is_dir():
        yield Finding(
            what=what, verdict=Verdict.FAIL, text=f"{path} is not there.", hint="Name the one that `run` uses."
        )
        return
    mode = stat.S_IMODE(path.stat().st_mode)
    if not os.access(path, os.W_OK):
        hint = "Run this as the account of the control plane."
        yield Finding(what=what, verdict=Verdict.FAIL, text=f"{path} cannot be written by this account.", hint=hint)
    elif mode & 0o077:
        hint = f"chmod 700 {path}"
        yield Finding(what=what, verdict=Verdict.WARN, text=f"Other accounts can look into {path}.", hint=hint)
    else:
        yield Finding(what=what, verdict=Verdict.OK, text=f"{path}, for this account alone.")


def _keys(settings: Settings, now: datetime) -> Iterator[Finding]:
    what, folder = "keys", settings.data_dir / "ca"
    try:
        keys = _opened(settings)
    except ControlError as error:
        yield Finding(what=what, verdict=Verdict.FAIL, text=str(error), hint=error.hint)
        return
    ends = x509.load_pem_x509_certificate(keys.authority.pem).not_valid_after_utc
    if ends <= now:
        yield Finding(what=what, verdict=Verdict.FAIL, text=f"The mesh's certificate ended on {ends:%Y-%m-%d}.")
    elif ends - now < CA_SOON:
        yield Finding(what=what, verdict=Verdict.WARN, text=f"The mesh's certificate ends on {ends:%Y-%m-%d}.")
    else:
        yield Finding(what=what, verdict=Verdict.OK, text=f"They open; the mesh's certificate ends {ends:%Y-%m-%d}.")
    loose = [name for name in (CA_KEY, POLICY_KEY) if stat.S_IMODE((folder / name).stat().st_mode) & 0o077]
    if loose:
        text_ = f"Other accounts can read {', '.join(loose)}."
        yield Finding(what=what, verdict=Verdict.FAIL, text=text_, hint=f"chmod 600 {folder}/*-key.pem")


def _opened(settings: Settings) -> MeshKeys:
    return load(settings.data_dir / "ca", read_passphrase(settings.ca_passphrase_file))


def _room(path: Path) -> Iterator[Finding]:
    if not path.is_dir():
        return
    usage = shutil.disk_usage(path)
    words = f"{usage.free / (1 << 30):.1f} GiB free of {usage.total / (1 << 30):.1f}."
    low = usage.free < LOW_BYTES
    hint = "Free some room: what nodes tell cannot be kept on a full disk; they keep it meanwhile." if low else ""
    yield Finding(what="disk", verdict=Verdict.WARN if low else Verdict.OK, text=words, hint=hint)


def _database(settings: Settings) -> Iterator[Finding]:
    what = "database"
    try:
        url = settings.database_url()
    except ControlError as error:
        yield Finding(what=what, verdict=Verdict.FAIL, text=str(error), hint=error.hint)
        return
    if settings.database_url_file is None and not (settings.data_dir / "control.db").exists():
        yield Finding(what=what, verdict=Verdict.WARN, text="There is none yet; the first start makes it.")
        return
    try:
        current = asyncio.run(_is_current(url))
    except Exception as error:
        hint = "Check the URL in the file, and that the database runs and lets this account in."
        text_ = f"It does not answer ({type(error).__name__})."
        yield Finding(what=what, verdict=Verdict.FAIL, text=text_, hint=hint)
        return
    if current:
        yield Finding(what=what, verdict=Verdict.OK, text="It answers and has this version's schema.")
    else:
        yield Finding(
            what=what, verdict=Verdict.WARN, text="Its schema is of another version; the next start upgrades it."
        )


async def _is_current(url: str) -> bool:
    database = open_database(url)
    try:
        async with database.snapshot() as session:
            await session.execute(text("SELECT 1"))
        return await is_current(database)
    finally:
        await database.close()


def _ports(settings: Settings) -> Iterator[Finding]:
    running = _is_running(settings.data_dir)
    for name, address in (("http", settings.http), ("https", settings.https), ("grpc", settings.grpc)):
        answers = _answers(address)
        if running:
            verdict = Verdict.OK if answers or not address.port else Verdict.FAIL
            words = f"{address} {'answers' if answers else 'does not answer, though a control plane runs'}."
        else:
            verdict = Verdict.FAIL if answers else Verdict.OK
            words = f"{address} {'is taken by another program' if answers else 'is free'}; no control plane runs here."
        hint = "" if verdict is Verdict.OK else f"Look who has it (ss -ltnp), or set another address for `{name}`."
        yield Finding(what=f"port {name}", verdict=verdict, text=words, hint=hint)


def _is_running(data_dir: Path) -> bool:
    """Whether a control plane holds the lock of this directory."""
    try:
        with (data_dir / "lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _answers(address: Address) -> bool:
    host = "127.0.0.1" if address.is_wildcard else address.host
    try:
        with closing(socket.create_connection((host, address.port), timeout=CONNECT_SECONDS)):
            return True
    except OSError:
        return False


def _broker(settings: Settings, now: datetime) -> Iterator[Finding]:
    if settings.mqtt is None:
        yield Finding(what="broker", verdict=Verdict.OK, text="None is used: policies arrive by long poll.")
        return
    what, own = "broker", settings.data_dir / "tls"
    hint = "Sites go on without it; policies take up to a minute longer."
    try:
        context = ssl.create_default_context(cafile=str(own / "ca.pem"))
        context.load_cert_chain(own / "client.pem", own / "client-key.pem")
        plain = socket.create_connection((settings.mqtt.host, settings.mqtt.port), timeout=CONNECT_SECONDS)
        with closing(plain), context.wrap_socket(plain, server_hostname=settings.mqtt.host) as wrapped:
            ends = ssl.cert_time_to_seconds(str((wrapped.getpeercert() or {}).get("notAfter")))
    except ssl.SSLError as error:
        text_ = f"{settings.mqtt} shows no certificate of this mesh ({error.reason or 'TLS failed'})."
        again = "Make one with `skerry-control issue-broker-certificate`."
        yield Finding(what=what, verdict=Verdict.WARN, text=text_, hint=again)
    except OSError as error:
        text_ = f"{settings.mqtt} cannot be reached ({error.strerror or type(error).__name__})."
        yield Finding(what=what, verdict=Verdict.WARN, text=text_, hint=hint)
    else:
        days = int((ends - now.timestamp()) // 86_400)
        soon = days < 14
        again = "Make another with `skerry-control issue-broker-certificate`." if soon else ""
        verdict = Verdict.WARN if soon else Verdict.OK
        yield Finding(
            what=what, verdict=verdict, text=f"{settings.mqtt} answers, certificate: {days} days.", hint=again
        )
