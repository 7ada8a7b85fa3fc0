"""A document of pools as HAProxy's configuration: one `listen` for each listener, one `server` for each member. Pure.

Everything that comes from outside was bounded by `mesh.pools` to characters that end no word and no line here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from haproxy.pool.echo_check import check_lines
from mesh.pools import ListenerModel, MemberModel, PoolModel, PoolsDocument

SPARE_CONNECTIONS = 200
"""Beside those of all listeners: sockets of the manager, and checks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """Where the files and sockets of this HAProxy are."""

    stats_socket: Path
    exporter_socket: Path
    server_state: Path


def render(document: PoolsDocument, around: Surroundings) -> str:
    """The whole file, for HAProxy 2.6 and later. The same document gives the same bytes."""
    return "\n".join(_lines(document, around)) + "\n"


def _lines(document: PoolsDocument, around: Surroundings) -> Iterator[str]:
    yield "# Made by skerry-haproxy; what is changed here by hand is lost."
    yield from _global(document, around)
    yield from _defaults()
    yield "frontend exporter"
    yield "    mode http"
    yield f"    bind {_quoted(f'unix@{around.exporter_socket}')} mode 600"
    yield "    http-request use-service prometheus-exporter if { path /metrics }"
    yield "    http-request return status 404"
    for pool in document.pools:
        for listener in pool.listeners:
            yield ""
            yield from _listen(pool, listener)


def _global(document: PoolsDocument, around: Surroundings) -> Iterator[str]:
    most = sum(listener.max_connections for pool in document.pools for listener in pool.listeners)
    yield "global"
    yield "    nbthread 2"
    # Images are long: fewer and longer reads, and none at all where the kernel can pass them on.
    yield "    tune.bufsize 65536"
    yield "    tune.pipesize 1048576"
    yield f"    maxconn {most + SPARE_CONNECTIONS}"
    yield f"    stats socket {_quoted(f'unix@{around.stats_socket}')} mode 600 level admin expose-fd listeners"
    yield "    stats timeout 10s"
    yield f"    server-state-file {_quoted(str(around.server_state))}"
    yield "    log stderr format raw local0 notice"
    # An old worker ends with its last association; one that never ends is ended.
    yield "    hard-stop-after 4h"
    yield "    mworker-max-reloads 50"
    yield ""


def _defaults() -> Iterator[str]:
    yield "defaults"
    yield "    log global"
    yield "    mode tcp"
    yield "    load-server-state-from-file global"
    # A modality may hold an association open and silent through an examination.
    yield "    timeout client 1h"
    yield "    timeout server 1h"
    yield "    timeout client-fin 30s"
    yield "    timeout server-fin 30s"
    yield "    timeout connect 2s"
    yield "    timeout queue 10s"
    yield "    option splice-auto"
    yield "    option clitcpka"
    yield "    option srvtcpka"
    yield "    retries 3"
    yield "    option redispatch 1"
    yield ""


def _listen(pool: PoolModel, listener: ListenerModel) -> Iterator[str]:
    yield f"listen {pool.name}.{listener.name}"
    yield f"    bind {listener.bind}{_tls(listener)}"
    yield f"    maxconn {listener.max_connections}"
    yield f"    balance {pool.balance}"
    yield f"    timeout check {max(1, pool.check_seconds)}s"
    if listener.networks:
        yield f"    tcp-request connection reject unless {{ src {' '.join(listener.networks)} }}"
    if listener.kind == "dicomweb":
        yield "    option httpchk GET /healthz"
        yield "    http-check expect status 200"
    else:
        yield from (f"    {line}" for line in check_lines(listener.called_ae_title, listener.calling_ae_title))
    slow = f" slowstart {pool.slow_start_seconds}s" if pool.slow_start_seconds else ""
    every = f"{pool.check_seconds}s"
    yield f"    default-server inter {every} fastinter 1s downinter {every} fall 2 rise 2{slow}"
    for member in pool.members:
        yield from _server(pool, listener, member)


def _tls(listener: ListenerModel) -> str:
    if listener.kind != "dicom-tls-terminated" or listener.certificate is None:
        return ""
    asked = f" ca-file {listener.client_ca} verify required" if listener.client_ca else ""
    return f" ssl crt {listener.certificate} ssl-min-ver TLSv1.2{asked}"


def _server(pool: PoolModel, listener: ListenerModel, member: MemberModel) -> Iterator[str]:
    addresses = member.addresses
    at = {"dicom-tls": addresses.dicom_tls, "dicomweb": addresses.dicomweb}.get(listener.kind, addresses.dicom)
    if at is None:
        return
    words = [f"    server {member.node} {at} weight {member.weight} check"]
    if listener.kind == "dicom-tls":
        words.append("check-ssl verify none")
    if listener.proxy_protocol and listener.kind != "dicomweb":
        words.append("send-proxy-v2")
    if member.max_connections is not None:
        words.append(f"maxconn {member.max_connections}")
    if addresses.agent is not None:
        host, _, port = addresses.agent.rpartition(":")
        words.append(f"agent-check agent-addr {host.strip('[]')} agent-port {port} agent-inter {pool.check_seconds}s")
    yield " ".join(words)


def _quoted(text: str) -> str:
    """One word for HAProxy, whatever is in it: single quotes take everything but themselves."""
    return "'" + text.replace("'", "'\\''") + "'"
