"""A whole site for tests: real nodes behind a real HAProxy under `skerry-haproxy`, a PACS, and DCMTK's modalities."""

from __future__ import annotations

import contextlib
import itertools
import json
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge.buffer.part10 import encode_meta
from provisioning.errors import CommandFailed, ProgramFailed
from provisioning.local.dcmsend import send
from provisioning.local.pool_manager import PoolManager
from provisioning.local.ports import LOOPBACK, free_port, free_ports
from provisioning.local.storescp import StoreScp
from tests.edge_door import TunedEdge
from tests.edge_samples import data_set, meta
from tests.haproxy_pool import short_folder, until
from tests.real_programs import require


@dataclass(frozen=True, slots=True, kw_only=True)
class Association:
    """One run of `dcmsend`: when it was under way, and what became of its images."""

    modality: str
    begun: float
    ended: float
    acknowledged: tuple[str, ...]
    failed: int


class Modality:
    """Sends new images without end, a few in each association, with DCMTK."""

    def __init__(self, name: str, port: int, folder: Path, *, images: int = 5) -> None:
        self.name = name
        self._port, self._folder, self._images = port, folder, images
        self._stopping = threading.Event()
        self._sent = 0
        self._done: list[Association] = []
        # The kernel ends a program with the thread that started it: `dcmsend` lives for as long as this one waits.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Send."""
        self._thread.start()

    def stop(self) -> None:
        """Finish the association that is under way."""
        self._stopping.set()
        self._thread.join(60)
        assert not self._thread.is_alive(), f"{self.name} still sends"

    @property
    def done(self) -> Sequence[Association]:
        """Every association that has ended."""
        return tuple(self._done)

    def _run(self) -> None:
        while not self._stopping.is_set():
            with tempfile.TemporaryDirectory(dir=self._folder) as folder:
                self._done.append(self._associate(Path(folder)))

    def _associate(self, folder: Path) -> Association:
        paths = [self._image(folder / f"{number}.dcm") for number in range(self._images)]
        begun = time.monotonic()
        try:
            report = send(paths, port=self._port, calling=self.name, called="SKERRY", seconds=60)
            acknowledged = tuple(one.sop_instance_uid for one in report.succeeded)
        except (CommandFailed, ProgramFailed):
            acknowledged = ()
        return Association(
            modality=self.name,
            begun=begun,
            ended=time.monotonic(),
            acknowledged=acknowledged,
            failed=self._images - len(acknowledged),
        )

    def _image(self, path: Path) -> Path:
        self._sent += 1
        uid = f"1.2.826.0.1.{int.from_bytes(self.name.encode()[-2:], 'big')}.{self._sent}"
        path.write_bytes(bytes(128) + encode_meta(meta(uid)) + data_set(uid, body=b"\x01" * 20_000))
        return path


@dataclass
class Counts:
    """What all modalities of a load have done."""

    associations: Sequence[Association]
    acknowledged: set[str] = field(init=False)
    failed: Sequence[Association] = field(init=False)

    def __post_init__(self) -> None:
        self.acknowledged = {uid for one in self.associations for uid in one.acknowledged}
        self.failed = [one for one in self.associations if one.failed]

    @property
    def longest_pause(self) -> float:
        """Seconds between two associations that went well, over all modalities: the longest."""
        ends = sorted(one.ended for one in self.associations if not one.failed)
        return max((after - before for before, after in itertools.pairwise(ends)), default=0.0)


class PoolSite:
    """Two nodes, or more, behind one address."""

    def __init__(
        self,
        home: Path,
        folder: Path,
        pacs: StoreScp,
        nodes: int,
        *,
        check_seconds: int = 1,
        homes: Mapping[str, Path] | None = None,
        doors: Mapping[str, int] | None = None,
        **settings: Any,
    ) -> None:
        self.home, self.pacs, self.port = home, pacs, free_port()
        self._check_seconds, self._doors = check_seconds, doors or {}
        names = [f"box-{number}" for number in range(1, nodes + 1)]
        self.agents = dict(zip(names, free_ports(nodes), strict=True))
        self.nodes = {
            name: TunedEdge(
                (homes or {}).get(name, home / name),
                to=[pacs.address],
                ae_title="SKERRY",
                proxy_from=[LOOPBACK],
                agent=f"{LOOPBACK}:{self.agents[name]}",
                **settings,
            )
            for name in names
        }
        self._file = folder / "pool.yaml"
        self.write()
        self.manager = PoolManager(folder / "m", pool=self._file, log_dir=home / "log")

    def write(self, **pool: Any) -> None:
        """The pool file; the manager follows it."""
        self._file.write_text(json.dumps(self.document(**pool)))  # JSON is YAML

    def document(self, **pool: Any) -> dict[str, Any]:
        """The pools of this site."""
        members = [
            {
                "node": name,
                "addresses": {
                    "dicom": f"{LOOPBACK}:{self._doors.get(name, node.dicom_port)}",
                    "agent": f"{LOOPBACK}:{self.agents[name]}",
                },
            }
            for name, node in self.nodes.items()
        ]
        listener = {"name": "dicom", "kind": "dicom", "bind": f"{LOOPBACK}:{self.port}"}
        one = {
            "name": "images",
            "check_seconds": self._check_seconds,
            "slow_start_seconds": 0,
            "listeners": [listener],
            **pool,
        }
        return {"skerry_pools": 1, "site": "north", "pools": [{**one, "members": members}]}

    def working(self) -> set[str]:
        """Nodes that take new associations and passed a check."""
        members = self.manager.facts()["members"]
        return {one["node"] for one in members if one["up"] and one["admin"] == "ready" and one["check"] == "L7OK"}

    def wait_working(self, *nodes: str, seconds: float = 30.0) -> float:
        """Return once just these work; how long it took."""
        return until(lambda: self.working() == set(nodes), f"{nodes} work, and nobody else", seconds=seconds)

    @contextlib.contextmanager
    def load(self, modalities: int = 4, *, images: int = 5) -> Iterator[Sequence[Modality]]:
        """Modalities that send through HAProxy until the block is left."""
        folder = self.home / "modalities"
        folder.mkdir()
        sending = [Modality(f"CT{number:02}", self.port, folder, images=images) for number in range(1, modalities + 1)]
        for one in sending:
            one.start()
        try:
            yield sending
        finally:
            for one in sending:
                one.stop()

    def wait_delivered(self, uids: set[str], *, seconds: float = 60.0) -> set[str]:
        """What of these is not in the PACS when all of it is, or the time is up."""
        deadline = time.monotonic() + seconds
        while True:
            lost = uids - {uid for uid, part in self.pacs.received().items() if part.data_set}
            if not lost or time.monotonic() > deadline:
                return lost
            time.sleep(0.3)


@contextlib.contextmanager
def pool_site(
    home: Path, *, nodes: int = 2, before: Callable[[PoolSite], None] = lambda _: None, **settings: Any
) -> Iterator[PoolSite]:
    """A site that works. `settings` are those of its nodes; `before` is called when these run."""
    require("haproxy", "storescp", "dcmsend")
    with contextlib.ExitStack() as started:
        folder = started.enter_context(short_folder())
        pacs = started.enter_context(StoreScp(home / "pacs"))
        site = PoolSite(home, folder, pacs, nodes, **settings)
        for node in site.nodes.values():
            started.enter_context(node)
        before(site)
        started.enter_context(site.manager)
        site.wait_working(*site.nodes)
        yield site
