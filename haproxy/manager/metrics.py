"""Every metric of the manager, and those of HAProxy's own that are worth a site's while.

Labels are bounded by the pools that run: names of pools, listeners and nodes. HAProxy's exporter is passed on line by
line through a list of names; what is not on it, or is about something that no pool has, stays here.
"""

from __future__ import annotations

import http.client
import re
import socket
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from haproxy.manager.interface import PoolsReport

SCRAPE_SECONDS = 3.0
MOST_BYTES = 8 << 20
PASSED_ON = frozenset(
    {
        "haproxy_process_current_connections",
        "haproxy_process_max_connections",
        "haproxy_process_connections_total",
        "haproxy_process_uptime_seconds",
        "haproxy_frontend_current_sessions",
        "haproxy_frontend_limit_sessions",
        "haproxy_frontend_sessions_total",
        "haproxy_frontend_bytes_in_total",
        "haproxy_frontend_bytes_out_total",
        "haproxy_frontend_denied_connections_total",
        "haproxy_backend_current_queue",
        "haproxy_backend_current_sessions",
        "haproxy_backend_active_servers",
        "haproxy_backend_connection_errors_total",
        "haproxy_backend_downtime_seconds_total",
        "haproxy_server_current_queue",
        "haproxy_server_current_sessions",
        "haproxy_server_sessions_total",
        "haproxy_server_bytes_in_total",
        "haproxy_server_bytes_out_total",
        "haproxy_server_connection_errors_total",
        "haproxy_server_check_failures_total",
        "haproxy_server_check_up_down_total",
        "haproxy_server_check_duration_seconds",
        "haproxy_server_downtime_seconds_total",
        "haproxy_server_weight",
    }
)
_SAMPLE = re.compile(r"^([a-z_]+)(?:\{([^{}]*)\})? (-?[0-9.e+-]+|NaN)$")
_LABEL = re.compile(r'([a-z_]+)="([^"\\]*)"')


class _OverUnix(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=SCRAPE_SECONDS)
        self._path = str(path)

    def connect(self) -> None:
        """The exporter listens on no network."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(SCRAPE_SECONDS)
        self.sock.connect(self._path)


def scrape(exporter: Path) -> str:
    """What HAProxy's own exporter says; empty when it cannot be asked."""
    connection = _OverUnix(exporter)
    try:
        connection.request("GET", "/metrics")
        answer = connection.getresponse()
        return answer.read(MOST_BYTES).decode("utf-8", "replace") if answer.status == 200 else ""
    except (OSError, http.client.HTTPException):
        return ""
    finally:
        connection.close()


def passed_on(text: str, report: PoolsReport) -> str:
    """Those of its lines that are on the list and about a pool that runs; each family with its heading."""
    proxies = {f"{member.pool}.{member.listener}" for member in report.members}
    servers = {member.node for member in report.members}
    lines = []
    for line in text.splitlines():
        if line.startswith("# "):
            if line.split(" ", 3)[2] in PASSED_ON:
                lines.append(line)
            continue
        sample = _SAMPLE.match(line)
        if sample is None or sample[1] not in PASSED_ON:
            continue
        labels = dict(_LABEL.findall(sample[2] or ""))
        if labels.keys() <= {"proxy", "server"} and (
            labels.get("proxy", next(iter(proxies), "")) in proxies and labels.get("server", "") in servers | {""}
        ):
            lines.append(line)
    return "".join(f"{line}\n" for line in lines)


def own(report: PoolsReport, *, rejected: int, restarts: int, scraped: bool) -> str:
    """The manager's own figures."""
    families: list[tuple[str, str, str, Iterable[tuple[str, float]]]] = [
        ("skerry_haproxy_up", "gauge", "1 while HAProxy answers.", [("", report.haproxy_running)]),
        ("skerry_haproxy_order", "gauge", "Order of the pools that run.", [("", report.order)]),
        ("skerry_haproxy_reloads_total", "counter", "Reloads since the manager's start.", [("", report.reloads)]),
        ("skerry_haproxy_last_reload_seconds", "gauge", "Time of the last one.", [("", report.last_reload)]),
        ("skerry_haproxy_rejected_total", "counter", "Pools refused since the manager's start.", [("", rejected)]),
        ("skerry_haproxy_restarts_total", "counter", "Times HAProxy had to be started again.", [("", restarts)]),
        ("skerry_haproxy_old_workers", "gauge", "Workers that wait for their last one.", [("", report.old_workers)]),
        ("skerry_haproxy_exporter_up", "gauge", "1 while HAProxy's exporter answers.", [("", scraped)]),
        ("skerry_haproxy_members", "gauge", "Members by what is wanted and whether they work.", _by_state(report)),
        ("skerry_haproxy_member_sessions", "gauge", "Open associations, over all workers.", _sessions(report)),
        ("skerry_haproxy_conditions", "gauge", "Conditions that hold.", _conditions(report)),
    ]
    lines = []
    for name, kind, text, samples in families:
        lines += [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]
        lines += [f"{name}{labels} {value:g}" for labels, value in samples]
    return "".join(f"{line}\n" for line in lines)


def _by_state(report: PoolsReport) -> list[tuple[str, float]]:
    counts = Counter((member.pool, member.listener, member.admin, member.up) for member in report.members)
    return [
        (f'{{pool="{pool}",listener="{listener}",state="{admin}",up="{int(up)}"}}', count)
        for (pool, listener, admin, up), count in sorted(counts.items())
    ]


def _sessions(report: PoolsReport) -> list[tuple[str, float]]:
    return [
        (f'{{pool="{member.pool}",listener="{member.listener}",member="{member.node}"}}', member.sessions)
        for member in report.members
    ]


def _conditions(report: PoolsReport) -> list[tuple[str, float]]:
    counts = Counter((held.code, held.severity.value) for held in report.conditions)
    return [(f'{{code="{code}",severity="{severity}"}}', count) for (code, severity), count in sorted(counts.items())]
