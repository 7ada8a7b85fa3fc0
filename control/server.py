"""The composition root: one event loop with two HTTP listeners, the gRPC door of the nodes, and background tasks."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
import structlog
from fastapi import FastAPI

from control import metrics
from control.app import create_app
from control.broker.link import BrokerLink, client_tls
from control.certificate_shelf import CertificateShelf
from control.clock import Clock, utcnow
from control.db.outage import DATABASE_OUTAGES
from control.db.session import open_database
from control.db.upgrade import upgrade
from control.enrolment import ca_files
from control.enrolment.ca import Authority
from control.enrolment.own_certificates import OwnCertificate, OwnCertificates, issue_own
from control.enrolment.service import Endpoints
from control.errors import SettingsError
from control.first_start import ensure_first_user, owned
from control.listeners import GRACE_SECONDS, BoundSocket, HttpListener, bind
from control.pools.rpc import PoolsServicer
from control.services import Core, build_core
from control.settings import Address, Settings
from control.sync.report_lane import ReportLane
from control.sync.rpc import Door, EdgeSyncServicer, IdentityServicer
from mesh.v1 import enrolment_pb2_grpc, pools_pb2_grpc, sync_pb2_grpc

log = structlog.get_logger(__name__)

GRPC_OPTIONS = (
    # The name with `recv_` in it is accepted and does nothing.
    ("grpc.http2.min_ping_interval_without_data_ms", 30_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.max_connection_age_ms", 600_000),
    ("grpc.max_connection_age_grace_ms", 30_000),
    ("grpc.max_receive_message_length", 4 << 20),
    # A node needs four streams: events, status, the long poll, now and then a renewal.
    ("grpc.max_concurrent_streams", 16),
    ("grpc.so_reuseport", 0),
    # Of what waits for its turn the library breaks calls off beyond a thousand, by chance: a fleet that comes back at
    # once has two of each node, and nodes with a deadline of their own.
    ("grpc.server.max_pending_requests", 50_000),
    ("grpc.server.max_pending_requests_hard_limit", 50_000),
)
MAX_CALLS = 20_000
"""Above what the door itself lets in: beyond this gRPC refuses, and says nothing of when to come again."""
CERTIFICATE_CHECK_SECONDS = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """Where the control plane really listens."""

    http: Address
    https: Address
    grpc: Address

    def line(self) -> str:
        """The line that tells a supervisor that everything is up."""
        return f"ready http={self.http} https={self.https} grpc={self.grpc}"


async def run(settings: Settings, announce: Callable[[str], None], clock: Clock = utcnow) -> None:
    """Serve until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with serving(settings, clock) as where:
        gc.collect()
        gc.freeze()  # what lives as long as the process is not walked through again while sites catch up
        announce(where.line())
        await stop.wait()
        log.info("control.stopping")


@contextlib.asynccontextmanager
async def serving(settings: Settings, clock: Clock = utcnow) -> AsyncIterator[Serving]:
    """The whole control plane: up inside the block, down after it.

    Raises:
        SettingsError: it cannot start, and why.
    """
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(owned(settings.data_dir))
        keys = ca_files.load_or_create(
            settings.data_dir / "ca", ca_files.read_passphrase(settings.ca_passphrase_file), clock()
        )
        own = issue_own(settings.data_dir / "tls", keys.authority, settings.advertised_host, clock())
        database = open_database(settings.database_url())
        stack.push_async_callback(database.close)
        try:
            await upgrade(database)
        except DATABASE_OUTAGES as error:
            raise SettingsError(
                f"The database does not answer ({type(error).__name__}).",
                hint="Check the URL in the file of --database-url-file, and that the database runs.",
            ) from None

        doors = await stack.enter_async_context(_doors(settings, own, keys.authority.pem))
        core = build_core(database, keys, _endpoints(settings, doors.where), clock)
        await core.enrolment.bind_mesh()
        await ensure_first_user(core.users, settings.data_dir)
        for add in servicers(core, keys.authority.mesh):
            add(doors.grpc)
        core.board.take(await core.policies.places())
        await doors.open(create_app(core.provisions))
        tasks = (
            _keep_certificates(settings, keys.authority, own, doors, clock),
            *background_tasks(settings, core, own),
        )
        await stack.enter_async_context(_running(tasks))
        log.info(
            "control.serving", http=str(doors.where.http), https=str(doors.where.https), grpc=str(doors.where.grpc)
        )
        stack.callback(core.board.close)
        yield doors.where


def servicers(core: Core, mesh: str) -> Sequence[Callable[[grpc.aio.Server], None]]:
    """Every gRPC service, as what adds it to a server."""
    door = Door(core.nodes, mesh)
    sync = EdgeSyncServicer(
        door,
        ReportLane(core.database, core.nodes, core.policies),
        core.policies,
        core.push_batch,
        core.commands,
        core.figures,
        core.clock,
    )
    identity = IdentityServicer(door, core.enrolment)
    pools = PoolsServicer(door, core.pools, core.figures)
    return (
        lambda server: sync_pb2_grpc.add_EdgeSyncServicer_to_server(sync, server),
        lambda server: enrolment_pb2_grpc.add_IdentityServicer_to_server(identity, server),
        lambda server: pools_pb2_grpc.add_PoolsServicer_to_server(pools, server),
    )


def background_tasks(
    settings: Settings,
    core: Core,
    own: OwnCertificates,
) -> Sequence[Coroutine[Any, Any, None]]:
    """Everything that runs beside the requests until the end. Each handles its own errors."""
    tasks = [
        core.board.follow(core.policies.places),
        core.command_board.follow(core.commands.waiting),
        core.rollout_driver.follow(),
        core.figures.follow(),
        core.live.run(),
        core.forgetting.follow(settings.forget_studies_after),
        core.nodes.write_contacts(),
    ]
    if settings.mqtt is not None:
        link = BrokerLink(
            settings.mqtt.host,
            settings.mqtt.port,
            tls=lambda: client_tls(
                ca_file=own.ca_file,
                certificate_file=own.client.certificate_file,
                key_file=own.client.key_file,
            ),
            nudges=core.nudges,
            presence=core.presence,
            news=core.live.committed,
        )
        tasks.append(link.run())
    return tasks


@dataclass(slots=True, kw_only=True)
class _Doors:
    """The three listeners. Their ports are taken before anything is built, and opened when all is."""

    where: Serving
    grpc: grpc.aio.Server
    shelf: CertificateShelf
    http: BoundSocket
    https: BoundSocket
    own: OwnCertificates
    trusted_proxies: tuple[str, ...]
    listeners: tuple[HttpListener, ...] = ()

    async def open(self, app: FastAPI) -> None:
        """Return when all three answer."""
        await self.grpc.start()
        self.listeners = (
            HttpListener(app, self.http, trusted_proxies=self.trusted_proxies),
            HttpListener(app, self.https, certificate=self.own.server),
        )
        for listener in self.listeners:
            await listener.start()

    def show(self, certificate: OwnCertificate) -> None:
        """Use another server certificate from the next connection on."""
        self.shelf.put(certificate)
        for listener in self.listeners:
            listener.use(certificate)

    async def close(self) -> None:
        """Let what is under way end, for a few seconds; all three at once."""
        await asyncio.gather(self.grpc.stop(GRACE_SECONDS), *(one.stop() for one in self.listeners))


@contextlib.asynccontextmanager
async def _doors(settings: Settings, own: OwnCertificates, ca_pem: bytes) -> AsyncIterator[_Doors]:
    with contextlib.ExitStack() as sockets:
        http, https = bind(settings.http), bind(settings.https)
        for bound in (http, https):
            sockets.callback(bound.socket.close)
        shelf = CertificateShelf(own.server, ca_pem)
        server = grpc.aio.server(
            options=GRPC_OPTIONS, compression=grpc.Compression.Gzip, maximum_concurrent_rpcs=MAX_CALLS
        )
        try:
            port = server.add_secure_port(str(settings.grpc), shelf.credentials())
        except RuntimeError:
            raise SettingsError(
                f"Cannot listen on {settings.grpc}.", hint="Choose another port, or stop who has it."
            ) from None
        doors = _Doors(
            where=Serving(http=http.address, https=https.address, grpc=Address(host=settings.grpc.host, port=port)),
            grpc=server,
            shelf=shelf,
            http=http,
            https=https,
            own=own,
            trusted_proxies=settings.trusted_proxies if settings.behind_proxy else (),
        )
        try:
            yield doors
        finally:
            await doors.close()


def _endpoints(settings: Settings, where: Serving) -> Endpoints:
    """What nodes are told: the advertised host with the real ports."""
    host = settings.advertised_host
    return Endpoints(
        https=str(Address(host=host, port=where.https.port)),
        grpc=str(Address(host=host, port=where.grpc.port)),
        mqtt=str(settings.mqtt) if settings.mqtt is not None else "",
    )


async def _keep_certificates(
    settings: Settings, authority: Authority, own: OwnCertificates, doors: _Doors, clock: Clock
) -> None:
    """A process that runs for longer than its certificates lets fresh ones take their place."""
    while True:
        await asyncio.sleep(CERTIFICATE_CHECK_SECONDS)
        try:
            if own.server.is_due(clock()):
                own = issue_own(settings.data_dir / "tls", authority, settings.advertised_host, clock())
                doors.show(own.server)
                log.info("control.certificate_renewed", ends=own.server.ends.isoformat())
        except Exception as error:
            # A full disk today must not mean an expired certificate in a month.
            log.error("control.certificate_not_renewed", error=type(error).__name__, detail=str(error))


@contextlib.asynccontextmanager
async def _running(tasks: Sequence[Coroutine[Any, Any, None]]) -> AsyncIterator[None]:
    started = [asyncio.create_task(_watched(one)) for one in tasks]
    try:
        yield
    finally:
        for task in started:
            task.cancel()
        await asyncio.gather(*started, return_exceptions=True)


async def _watched(task: Coroutine[Any, Any, None]) -> None:
    """A background task that dies says so; the rest of the control plane goes on."""
    try:
        await task
    except Exception:
        name = getattr(task, "__qualname__", "")
        metrics.DEAD_TASKS.labels(name).inc()
        log.exception("control.task_died", task=name)
