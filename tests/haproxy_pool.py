"""A pool of DICOM receivers behind a real HAProxy that a manager keeps, and associations that are held open in it."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from pynetdicom import AE
from pynetdicom.association import Association

from haproxy.manager.interface import MemberReport
from haproxy.manager.site import Site
from haproxy.places import Places
from mesh.pools import AddressesModel, ListenerModel, MemberModel, PoolModel, PoolsDocument
from provisioning.local.ports import LOOPBACK
from tests.real_programs import require

POOL, LISTENER = "images", "dicom"


def document(port: int, members: Mapping[str, int], *, order: int = 1, most: int = 100) -> PoolsDocument:
    """One pool with one DICOM listener at this port, and a receiver of this machine behind it for each member."""
    return PoolsDocument(
        skerry_pools=1,
        site="north",
        order=order,
        pools=[
            PoolModel(
                name=POOL,
                check_seconds=1,
                slow_start_seconds=0,
                listeners=[
                    ListenerModel(
                        name=LISTENER,
                        kind="dicom",
                        bind=f"{LOOPBACK}:{port}",
                        proxy_protocol=False,
                        max_connections=most,
                    )
                ],
                members=[
                    MemberModel(node=node, addresses=AddressesModel(dicom=f"{LOOPBACK}:{at}"))
                    for node, at in members.items()
                ],
            )
        ],
    )


@contextlib.contextmanager
def short_folder() -> Iterator[Path]:
    """A folder whose name leaves room for sockets in it."""
    folder = Path(tempfile.mkdtemp(prefix="skh-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def managed(places: Places, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> Iterator[Site]:
    """A manager that looks often and reloads as soon as it is asked; its HAProxy ends with it."""
    require("haproxy")
    site = Site(places, reload_seconds=0.0, look_seconds=0.1, now=now)
    site.start()
    try:
        yield site
    finally:
        site.stop(with_haproxy=True)


def until(true: Callable[[], object], what: str, seconds: float = 15.0) -> float:
    """Wait for it; how long it took."""
    begun = time.monotonic()
    while not true():
        if time.monotonic() > begun + seconds:
            raise AssertionError(f"not within {seconds:g} s: {what}")
        time.sleep(0.02)
    return time.monotonic() - begun


def member(site: Site, node: str) -> MemberReport:
    """What the manager says of one member."""
    return next(one for one in site.report().members if one.node == node)


def working(site: Site) -> set[str]:
    """Members that take new associations and passed a check."""
    return {one.node for one in site.report().members if one.up and one.admin == "ready" and one.check == "L7OK"}


@contextlib.contextmanager
def association(port: int) -> Iterator[Association]:
    """An open association; whoever has it says C-ECHO on it."""
    requestor = AE("MODALITY")
    requestor.add_requested_context("1.2.840.10008.1.1")
    opened = requestor.associate(LOOPBACK, port)
    assert opened.is_established, "no association"
    try:
        yield opened
    finally:
        if opened.is_established:
            opened.release()


def echoes(opened: Association) -> bool:
    """Whether a C-ECHO on it is answered with success."""
    return opened.is_established and getattr(opened.send_c_echo(), "Status", None) == 0
