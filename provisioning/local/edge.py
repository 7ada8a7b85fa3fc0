"""A real `skerry-edge` on this machine."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx2

from provisioning.errors import ProgramFailed
from provisioning.local.command import own_script, run, run_json
from provisioning.local.ports import LOOPBACK, free_ports
from provisioning.local.program import Program

_READY = re.compile(r"^ready dicom=\S+:(\d+) http=\S+:(\d+)$")


class Edge(Program):
    """One node: `start` returns when it serves, and its ports stay the same over restarts."""

    under: tuple[str, ...] = ()
    """A program with its options that runs it: a tracer, for example."""

    def __init__(
        self,
        data_dir: Path,
        *,
        name: str = "edge",
        ae_title: str | None = None,
        to: Sequence[str] = (),
        policy: Path | None = None,
        log_dir: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        """`to` and `policy` are for a node that stands alone; an enrolled one takes its site's policy.

        `env` takes settings that have no flag, as `SKERRY_EDGE_…`.
        """
        self.data_dir = data_dir
        # Not port 0: while the node is down, a port of the kernel's choice may be taken by some client.
        self.dicom_port, self.http_port = free_ports(2)
        self._options = ["--ae-title", ae_title] if ae_title else []
        self._options += ["--policy", str(policy)] if policy else []
        for peer in to:
            self._options += ["--to", peer]
        tuned = {"SKERRY_EDGE_PROBATION_SECONDS": "2", **(env or {})}  # whoever waits for a policy waits for this, too
        super().__init__(name=name, argv=(), log_dir=log_dir or data_dir.parent / "log", env=tuned)

    @property
    def http_url(self) -> str:
        """Where its health and metrics are."""
        return f"http://{LOOPBACK}:{self.http_port}"

    def start(self) -> None:
        """Start and return once it takes associations.

        Raises:
            ProgramFailed: it did not become ready.
        """
        where = ["--listen", f"{LOOPBACK}:{self.dicom_port}", "--http", f"{LOOPBACK}:{self.http_port}"]
        words = ("run", "--data-dir", str(self.data_dir), *where, *self._options)
        self.argv = (*self.under, own_script("skerry-edge"), *words)
        super().start()
        line = self.wait_line("ready ")
        found = _READY.match(line)
        if found is None:
            raise ProgramFailed(f"{self.name} said '{line}', which names no ports")
        self.dicom_port, self.http_port = int(found[1]), int(found[2])

    def enrol(self, token_file: Path, *, node_name: str | None = None) -> str:
        """Make this box a node of the site that the token is for, under its own name unless another is given.

        Raises:
            CommandFailed: the control plane, or the box itself, refused; the message says why.
        """
        argv = [own_script("skerry-edge"), "enrol", "--data-dir", str(self.data_dir)]
        return run([*argv, "--token-file", str(token_file), "--name", node_name or self.name])

    def facts(self) -> Mapping[str, Any]:
        """What the running node says of itself over its local HTTP: readiness, counts, conditions."""
        answer = httpx2.get(f"{self.http_url}/status", timeout=10, trust_env=False)
        return dict(answer.raise_for_status().json())

    def conditions(self) -> Mapping[str, str]:
        """What the running node says is not right: the text by its code."""
        return {str(one["code"]): str(one["text"]) for one in self.facts()["conditions"]}

    def command(self, *words: str) -> str:
        """What a command of this node prints for people, e.g. `command("queue")`."""
        return run([own_script("skerry-edge"), *words, "--data-dir", str(self.data_dir)])

    def ask(self, *words: str) -> Any:
        """What a command of this node answers as JSON, e.g. `ask("trace", uid)`."""
        return run_json([own_script("skerry-edge"), *words, "--data-dir", str(self.data_dir), "--json"])
