"""A whole mesh on this machine, put together as an administrator would: by the commands, in the same order."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from provisioning.errors import ProvisioningError
from provisioning.local.control import Control
from provisioning.local.control_api import ControlApi
from provisioning.local.edge import Edge
from provisioning.local.mosquitto import Mosquitto
from provisioning.local.pool_manager import PoolManager
from provisioning.local.ports import LOOPBACK, free_port
from provisioning.local.program import Program, is_installed
from provisioning.local.storescp import StoreScp, dcmtk_installed

POLICY = """\
skerry: 1
destinations:
  - {{name: pacs, kind: dicom, ae_title: {ae_title}, host: {host}, port: {port}}}
routes:
  - name: tomography
    when: 'Modality == "CT" || Modality == "MR"'
    to: [pacs]
  - name: everything-else
    when: 'Modality != "CT" && Modality != "MR"'
    to: [pacs]
"""


POOLS = """\
pools:
  - name: images
    check_seconds: 1
    slow_start_seconds: 0
    listeners:
      - {{name: dicom, kind: dicom, bind: '{host}:{port}'}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A hospital: its PACS and its nodes, and what stands before them."""

    name: str
    pacs: StoreScp
    nodes: tuple[Edge, ...]
    policy_file: Path
    pool: PoolManager | None = None
    pool_port: int = 0
    """Where modalities send, when there is a pool."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SitePlan:
    """What a site is to have."""

    name: str
    nodes: tuple[str, ...]
    pool: bool = False
    """Whether HAProxy stands before the nodes."""


NORTH_AND_SOUTH = (
    SitePlan(name="north", nodes=("north-1", "north-2")),
    SitePlan(name="south", nodes=("south-1",)),
)


def _behind(plan: SitePlan) -> Mapping[str, str]:
    """What a node is told that has a balancer before it."""
    if not plan.pool:
        return {}
    return {"SKERRY_EDGE_PROXY_FROM": LOOPBACK, "SKERRY_EDGE_AGENT": f"{LOOPBACK}:{free_port()}"}


class Mesh:
    """Control plane, broker when it is installed, and sites. Leaving the block stops everything."""

    def __init__(self, folder: Path, *, tell: Callable[[str], None] = lambda _: None) -> None:
        """`tell` hears in plain words what is being done."""
        self.folder = folder
        self.sites: dict[str, Site] = {}
        self.broker: Mosquitto | None = None
        self._tell = tell
        self._log_dir = folder / "log"
        mqtt_port = free_port() if is_installed("mosquitto") else None
        self.control = Control(folder / "control", mqtt_port=mqtt_port, log_dir=self._log_dir)
        self._mqtt_port = mqtt_port
        self._api: ControlApi | None = None
        self._programs: list[Program] = []
        self._short: Path | None = None

    @property
    def api(self) -> ControlApi:
        """The control plane's API, logged in."""
        if self._api is None:
            self._api = ControlApi(self.control.url, self.control.password_file)
        return self._api

    @property
    def nodes(self) -> tuple[Edge, ...]:
        """The nodes of all sites."""
        return tuple(node for site in self.sites.values() for node in site.nodes)

    def start_centre(self) -> None:
        """Start the control plane and, with certificates of its CA, the broker."""
        if not dcmtk_installed():
            self._tell("DCMTK is not installed: a modality and PACS of our own stand in for dcmsend and storescp")
        self._start(self.control)
        self._tell(f"control plane is up at {self.control.url}")
        if self._mqtt_port is None:
            self._tell("mosquitto is not installed: no broker; a new policy takes up to a minute longer to arrive")
            return
        certificates = self.folder / "broker" / "certificates"
        self.control.issue_broker_certificate(certificates)
        self.broker = Mosquitto(
            self.folder / "broker", certificates=certificates, port=self._mqtt_port, log_dir=self._log_dir
        )
        self._start(self.broker)
        self._tell(f"broker is up at {LOOPBACK}:{self.broker.port}, mutual TLS only")

    def add_site(self, plan: SitePlan) -> Site:
        """Create the site, publish its policy, enrol its nodes with one token each, and start them."""
        folder = self.folder / plan.name
        title = f"PACS_{plan.name}"[:16].upper()
        pacs = StoreScp(folder / "pacs", ae_title=title, name=f"{plan.name}-pacs", log_dir=self._log_dir)
        self._start(pacs)
        self.control.command("site", "add", plan.name)
        policy_file = folder / "policy.yaml"
        policy = POLICY.format(ae_title=title, host=LOOPBACK, port=pacs.port)
        pool_port = free_port() if plan.pool else 0
        policy_file.write_text(policy + (POOLS.format(host=LOOPBACK, port=pool_port) if plan.pool else ""))
        self.control.command("policy", "publish", plan.name, str(policy_file))
        nodes = tuple(
            Edge(folder / name, name=name, ae_title=name.upper(), log_dir=self._log_dir, env=_behind(plan))
            for name in plan.nodes
        )
        pool = self._pool_manager(plan, nodes[0]) if plan.pool else None
        site = Site(name=plan.name, pacs=pacs, nodes=nodes, policy_file=policy_file, pool=pool, pool_port=pool_port)
        self.sites[plan.name] = site
        for node in nodes:
            node.enrol(self.new_token(plan.name, folder / f"{node.name}.token"))
            self._start(node)
        names = ", ".join(f"{node.name} on port {node.dicom_port}" for node in nodes)
        self._tell(f"site {plan.name} is up: {names}; its PACS is {pacs.address}")
        if pool is not None:
            self._start(pool)
            self._tell(f"HAProxy stands before site {plan.name}: modalities send to port {pool_port}")
        return site

    def _pool_manager(self, plan: SitePlan, node: Edge) -> PoolManager:
        # Names of sockets are short, and folders of demonstrations and tests are not.
        self._short = self._short or Path(tempfile.mkdtemp(prefix="skh-"))
        return PoolManager(
            self._short / plan.name, node_data_dir=node.data_dir, name=f"{plan.name}-haproxy", log_dir=self._log_dir
        )

    def new_token(self, site: str, path: Path) -> Path:
        """A file with a fresh token for one more node of the site."""
        token = self.control.ask("token", "create", site)["token"]
        path.touch(mode=0o600)
        path.write_text(token)
        return path

    def wait_until_in_force(self, *, seconds: float = 60.0) -> None:
        """Return once every running node reports that it runs the policy that its site should have, and HAProxy, where
        there is one, gives associations to all of them.

        Raises:
            ProvisioningError: one does not within the time.
        """
        deadline = time.monotonic() + seconds
        while waiting := self._nodes_without_policy():
            if time.monotonic() > deadline:
                raise ProvisioningError(f"no policy is in force on {', '.join(waiting)} after {seconds:g} s")
            time.sleep(0.2)
        for site in self.sites.values():
            while site.pool is not None and not self._all_work(site, site.pool):
                if time.monotonic() > deadline:
                    raise ProvisioningError(f"HAProxy of {site.name} has no nodes after {seconds:g} s")
                time.sleep(0.2)

    def _all_work(self, site: Site, pool: PoolManager) -> bool:
        up = {one["node"] for one in pool.facts()["members"] if one["up"] and one["admin"] == "ready"}
        return up >= {node.name for node in site.nodes if node.running}

    def fleet(self) -> Sequence[Mapping[str, Any]]:
        """The sites with their nodes, as the centre sees them now."""
        return list(self.api.every("/fleet"))

    def node_at_centre(self, name: str) -> Mapping[str, Any]:
        """One node as the centre sees it now.

        Raises:
            ProvisioningError: the centre does not know it.
        """
        for site in self.fleet():
            for node in site["nodes"]:
                if node["name"] == name:
                    return dict(node)
        raise ProvisioningError(f"the centre knows no node {name}")

    @property
    def programs(self) -> tuple[Program, ...]:
        """Everything that was started, in that order."""
        return tuple(self._programs)

    def stop(self) -> None:
        """Stop everything: ask all at once, then wait for each."""
        for program in self._programs:
            program.ask_to_stop()
        for program in self._programs:
            program.stop()
        if self._api is not None:
            self._api.close()
        if self._short is not None:
            shutil.rmtree(self._short, ignore_errors=True)

    def _start(self, program: Program) -> None:
        self._programs.append(program)  # before it starts: what starts half must be stopped too
        program.start()

    def remove(self) -> None:
        """Delete everything that the mesh wrote."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _nodes_without_policy(self) -> list[str]:
        running = {node.name for node in self.nodes if node.running}
        states = {node["name"]: node["policy_state"] for site in self.fleet() for node in site["nodes"]}
        return sorted(name for name in running if states.get(name) != "applied")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
