"""`skerry-haproxy run`: the parts of a manager, started in order and ended in order."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import structlog

from haproxy.link.link import Link
from haproxy.manager import metrics
from haproxy.manager.answers import Answers, facts_of
from haproxy.manager.control_socket import ControlSocket
from haproxy.manager.file_watch import FileWatch
from haproxy.manager.local_http import LocalHttp
from haproxy.manager.site import Site
from haproxy.places import Places, lock_data_dir

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """What `run` was asked for."""

    places: Places
    pool_file: Path | None
    node_data_dir: Path | None
    """Of the node on this box, with whose identity the control plane is spoken to."""
    http: str
    stop_haproxy: bool
    """Whether HAProxy ends with the manager. It goes on without it otherwise: modalities need no manager."""


def run(asked: Running, ready: Callable[[str], None]) -> None:
    """Keep this site's HAProxy until SIGTERM or SIGINT. `ready` is told the HTTP address when the first look is done.

    Raises:
        HaproxyError: the data directory belongs to another manager, or an address cannot be had.
    """
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    asked.places.prepare()
    with lock_data_dir(asked.places), _manager(asked) as http:
        ready(http)
        stopping.wait()


@contextlib.contextmanager
def _manager(asked: Running) -> Iterator[str]:
    places = asked.places
    site = Site(places)
    with contextlib.ExitStack() as started:
        http = LocalHttp(
            asked.http,
            alive=site.alive,
            facts=lambda: facts_of(site.report()),
            metrics=lambda: _metrics(site, places),
        )
        site.start()
        started.callback(site.stop, with_haproxy=asked.stop_haproxy)
        if asked.pool_file is not None:
            watch = FileWatch(asked.pool_file, site)
            watch.start()
            started.callback(watch.stop)
        if asked.node_data_dir is not None:
            link = Link(site, asked.node_data_dir, lambda: _metrics(site, places))
            link.start()
            started.callback(link.stop)
        control = ControlSocket(places.control_socket, Answers(site))
        for part in (control, http):
            part.start()
            started.callback(part.stop)
        yield http.address


def _metrics(site: Site, places: Places) -> str:
    report, tally = site.report(), site.tally
    scraped = metrics.scrape(places.exporter_socket)
    own = metrics.own(report, rejected=tally.rejected, restarts=tally.restarts, scraped=bool(scraped))
    return own + metrics.passed_on(scraped, report)
