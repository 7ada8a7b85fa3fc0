"""A real `skerry-control` on this machine."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from provisioning.errors import ProgramFailed
from provisioning.local.command import own_script, run, run_json
from provisioning.local.ports import LOOPBACK, free_ports
from provisioning.local.program import Program

_READY = re.compile(r"^ready http=\S+:(\d+) https=\S+:(\d+) grpc=\S+:(\d+)$")


class Control(Program):
    """One control plane: `start` returns when it serves, and its ports stay the same over restarts."""

    def __init__(
        self,
        data_dir: Path,
        *,
        name: str = "control",
        mqtt_port: int | None = None,
        database_url_file: Path | None = None,
        log_dir: Path | None = None,
    ) -> None:
        self.data_dir = data_dir
        # Not port 0: while it is down, a port of the kernel's choice may be taken by some client, even a node's.
        self.http_port, self.https_port, self.grpc_port = free_ports(3)
        self._options = ["--mqtt", f"{LOOPBACK}:{mqtt_port}"] if mqtt_port else []
        self._options += ["--database-url-file", str(database_url_file)] if database_url_file else []
        super().__init__(name=name, argv=(), log_dir=log_dir or data_dir.parent / "log")

    @property
    def url(self) -> str:
        """Where the start page and the API are."""
        return f"http://{LOOPBACK}:{self.http_port}"

    @property
    def password_file(self) -> Path:
        """Where the first run put the password of `admin`."""
        return self.data_dir / "admin-password"

    def start(self) -> None:
        """Start and return once it serves on all three ports.

        Raises:
            ProgramFailed: it did not become ready.
        """
        where = ["--http", f"{LOOPBACK}:{self.http_port}", "--https", f"{LOOPBACK}:{self.https_port}"]
        where += ["--grpc", f"{LOOPBACK}:{self.grpc_port}", "--public-host", LOOPBACK]
        argv = (own_script("skerry-control"), "run", "--data-dir", str(self.data_dir), *where, *self._options)
        self.argv = argv
        super().start()
        line = self.wait_line("ready ")
        found = _READY.match(line)
        if found is None:
            raise ProgramFailed(f"{self.name} said '{line}', which names no ports")
        self.http_port, self.https_port, self.grpc_port = (int(found[part]) for part in (1, 2, 3))

    def command(self, *words: str) -> str:
        """What a command against this control plane prints for people."""
        return run([own_script("skerry-control"), *words, *self._login()])

    def ask(self, *words: str) -> Any:
        """What a command against this control plane answers as JSON."""
        return run_json([own_script("skerry-control"), *words, *self._login(), "--json"])

    def issue_broker_certificate(self, out: Path) -> None:
        """Write ca.pem, broker.pem and broker-key.pem for a broker on this machine; works while it is stopped."""
        argv = [own_script("skerry-control"), "issue-broker-certificate", "--data-dir", str(self.data_dir)]
        run([*argv, "--host", LOOPBACK, "--out", str(out)])

    def _login(self) -> list[str]:
        return ["--url", self.url, "--password-file", str(self.password_file)]
