"""A real `skerry-haproxy` with its HAProxy on this machine."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx2

from provisioning.errors import ProgramFailed
from provisioning.local.command import own_script, run_json
from provisioning.local.ports import LOOPBACK, free_port
from provisioning.local.program import Program

_READY = re.compile(r"^ready http=\S+:(\d+)$")


class PoolManager(Program):
    """The manager of one site. HAProxy ends with it, as tests and demonstrations want it."""

    def __init__(
        self,
        data_dir: Path,
        *,
        pool: Path | None = None,
        node_data_dir: Path | None = None,
        name: str = "haproxy",
        log_dir: Path | None = None,
    ) -> None:
        """`data_dir` is short: sockets have names of at most 107 bytes."""
        self.data_dir = data_dir
        self.http_port = free_port()
        self.options: Sequence[str] = ["--stop-haproxy"]
        self._pool = ["--pool", str(pool)] if pool else []
        self._pool += ["--node-data-dir", str(node_data_dir)] if node_data_dir else []
        super().__init__(name=name, argv=(), log_dir=log_dir or data_dir.parent / "log")

    @property
    def http_url(self) -> str:
        """Where its health, status and metrics are."""
        return f"http://{LOOPBACK}:{self.http_port}"

    def start(self) -> None:
        """Start and return once the first look is done.

        Raises:
            ProgramFailed: it did not become ready.
        """
        words = ("run", "--data-dir", str(self.data_dir), "--http", f"{LOOPBACK}:{self.http_port}")
        self.argv = (own_script("skerry-haproxy"), *words, *self._pool, *self.options)
        super().start()
        line = self.wait_line("ready ")
        if _READY.match(line) is None:
            raise ProgramFailed(f"{self.name} said '{line}', which names no port")

    def facts(self) -> Mapping[str, Any]:
        """The status over its local HTTP."""
        answer = httpx2.get(f"{self.http_url}/status", timeout=10, trust_env=False)
        return dict(answer.raise_for_status().json())

    def ask(self, *words: str) -> Any:
        """What a command of this manager answers as JSON, e.g. `ask("drain", "box-1", "--wait")`."""
        return run_json([own_script("skerry-haproxy"), *words, "--data-dir", str(self.data_dir), "--json"])
