"""A node with settings of a test's choice, and what its metrics, its log and the kernel say of its door."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from edge.buffer.view import BufferView, Record
from edge.errors import UnknownInstance
from edge.settings import ENVIRONMENT_PREFIX
from provisioning.local.dataset import Part10, read_part10
from provisioning.local.edge import Edge
from provisioning.local.storescp import StoreScp


class TunedEdge(Edge):
    """`skerry-edge run` with a settings file. The settings are those of `edge/settings.py`."""

    def __init__(self, home: Path, *, to: Sequence[str] = (), policy: Path | None = None, **settings: object) -> None:
        super().__init__(home / "node", to=to, policy=policy)
        home.mkdir(parents=True, exist_ok=True)
        self._config = home / "edge.toml"
        self.tune(**settings)
        self._options += ["--config", str(self._config)]

    def tune(self, **settings: object) -> None:
        """Other settings, from the next start on. They win over what all tests have in their environment."""
        for key in settings:
            self._env.pop(f"{ENVIRONMENT_PREFIX}{key.upper()}", None)
        # JSON's numbers, strings, booleans and lists of them are also TOML's.
        lines = [f"{key} = {json.dumps(value)}\n" for key, value in settings.items()]
        self._config.write_text("".join(lines), encoding="utf-8")

    def metric(self, name: str, **labels: str) -> float:
        """The value of a metric; all its label sets together when no label is given."""
        with urllib.request.urlopen(f"{self.http_url}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        total = 0.0
        for line in re.finditer(rf"^{re.escape(name)}(?:{{(.*)}})? (\S+)$", text, re.MULTILINE):
            found = dict(re.findall(r'(\w+)="([^"]*)"', line[1] or ""))
            if all(found.get(key) == value for key, value in labels.items()):
                total += float(line[2])
        return total

    def ended(self, *outcomes: str) -> float:
        """How many associations ended in one of these ways, or in any when none is named."""
        if not outcomes:
            return self.metric("skerry_edge_associations_total")
        return sum(self.metric("skerry_edge_associations_total", outcome=outcome) for outcome in outcomes)

    def wait(self, condition: Callable[[], bool], what: str, *, seconds: float = 10.0) -> None:
        """Return once the condition holds; fail with the end of the log when it does not come true in time."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"{what}\n{self.log_end()}"
            time.sleep(0.05)

    def wait_ended(self, *outcomes: str, count: float = 1, seconds: float = 10.0) -> None:
        """Return once so many associations were counted as ended in one of these ways."""
        self.wait(lambda: self.ended(*outcomes) >= count, f"no {' or '.join(outcomes)} was counted", seconds=seconds)

    def events(self, code: str) -> list[Mapping[str, Any]]:
        """The log lines with this event code."""
        return [one for one in self._log_lines() if one.get("event") == code]

    def hints(self) -> str:
        """Every hint in the log."""
        return "\n".join(str(one["hint"]) for one in self._log_lines() if "hint" in one)

    def held(self, uid: str, *, seconds: float = 10.0) -> list[Record]:
        """What the node knows of this SOP instance once it has a row."""
        found: list[Record] = []

        def known() -> bool:
            with contextlib.suppress(UnknownInstance):
                found[:] = BufferView(self.data_dir).trace(uid)
            return bool(found)

        self.wait(known, f"{uid} never got a row", seconds=seconds)
        return found

    def is_held(self, uid: str) -> bool:
        """Whether this SOP instance has a row now."""
        try:
            return bool(BufferView(self.data_dir).trace(uid))
        except UnknownInstance:
            return False

    def stored(self, uid: str) -> Part10:
        """The spool file of an instance as it lies on the disk, without what stands behind its data set."""
        (row,) = self.held(uid)
        part = read_part10(self.file_of(uid))
        return dataclasses.replace(part, data_set=part.data_set[: int(row["data_set_length"])])

    def file_of(self, uid: str) -> Path:
        """The spool file of an instance."""
        (row,) = self.held(uid)
        name = str(row["instance_id"])
        (path,) = (one for one in self.data_dir.glob("spool/**/*.dcm") if one.stem in (name, name[:16]))
        return path

    def footprint(self) -> Footprint:
        """What all processes of the node hold now."""
        return Footprint.of(self.pid)

    def _log_lines(self) -> list[dict[str, Any]]:
        lines = []
        for line in self.log_text().splitlines():
            if line.startswith("{"):
                lines.append(json.loads(line))
        return lines


def waiting_node(tmp_path: Path, pacs: StoreScp, wait: str) -> TunedEdge:
    """One whose only route waits so."""
    policy = tmp_path / "policy.yaml"
    policy.write_text(
        "skerry: 1\ndestinations: [{name: pacs, kind: dicom, ae_title: PACS, host: 127.0.0.1, "
        f"port: {pacs.port}}}]\nroutes: [{{name: whole, to: [pacs], wait: {wait}}}]\n"
    )
    return TunedEdge(tmp_path, policy=policy)


@dataclass(frozen=True, slots=True, kw_only=True)
class Footprint:
    """Memory, threads and descriptors of a process and all its children."""

    resident: int
    threads: int
    descriptors: int

    @classmethod
    def of(cls, pid: int) -> Footprint:
        """Measured now. A child that ends meanwhile holds nothing."""
        resident = threads = descriptors = 0
        root = psutil.Process(pid)
        for process in (root, *root.children(recursive=True)):
            try:
                with process.oneshot():
                    memory, count, handles = process.memory_info().rss, process.num_threads(), process.num_fds()
            except psutil.NoSuchProcess:
                continue
            resident, threads, descriptors = resident + memory, threads + count, descriptors + handles
        return cls(resident=resident, threads=threads, descriptors=descriptors)
