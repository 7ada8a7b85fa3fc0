"""What the demo does with its mesh: send, watch, switch the centre off, send, switch it on, and compare."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from provisioning.demo.ledger import Ledger
from provisioning.demo.narrator import Narrator, Scene
from provisioning.errors import CommandFailed
from provisioning.local.control import Control
from provisioning.local.dcmsend import Sending
from provisioning.local.edge import Edge
from provisioning.local.images import Batch, Image, prepare, shipped_files
from provisioning.local.mesh import NORTH_AND_SOUTH, Mesh, Site
from provisioning.local.mosquitto import Mosquitto
from provisioning.local.pool_manager import PoolManager
from provisioning.local.program import Program, is_installed

WAIT_SECONDS = 60.0
_LOOK_SECONDS = 0.3
NARRATED_WIDTH = 105
"""With the time before it, a line fits a terminal of 120."""


class Story:
    """One mesh and everything that was sent into it."""

    def __init__(self, folder: Path, narrator: Narrator) -> None:
        self.mesh = Mesh(folder, tell=narrator.happened)
        self.ledger = Ledger()
        self._folder = folder
        self._narrator = narrator
        self._batches = 0
        self._fleet: Sequence[Mapping[str, Any]] = ()
        self._fleet_seen_at: float | None = None

    def set_up(self) -> None:
        """Start the mesh of two sites; return when each node runs its site's policy."""
        self.mesh.start_centre()
        pool = is_installed("haproxy")
        if not pool:
            self._narrator.happened("haproxy is not installed: modalities send to the nodes themselves")
        for plan in NORTH_AND_SOUTH:
            self.mesh.add_site(replace(plan, pool=pool and len(plan.nodes) > 1))
        self.mesh.wait_until_in_force()
        self._narrator.happened("each node runs the policy of its site")
        self._show()

    def prepare(self, *, fresh: bool) -> Batch:
        """The files that pydicom ships, ready to be sent; those that cannot be are counted and named."""
        self._batches += 1
        batch = prepare(shipped_files(), self._folder / "images" / str(self._batches), fresh=fresh)
        reasons: dict[str, int] = {}
        for left_out in batch.left_out:
            reasons[left_out.reason] = reasons.get(left_out.reason, 0) + 1
        why = ", ".join(f"{reason}: {count}" for reason, count in sorted(reasons.items()))
        files = len(batch.images) + len(batch.left_out)
        what = "altered copies with new UIDs of the" if fresh else "the"
        self._narrator.happened(f"of {what} {files} files that pydicom ships, {len(batch.images)} can be sent")
        if not fresh:
            for line in textwrap.wrap(f"left out: {why}", NARRATED_WIDTH):
                self._narrator.happened(line)
        return batch

    def forget(self, batch: Batch) -> None:
        """Delete the files of a batch that was sent."""
        for image in batch.images:
            image.path.unlink()

    def send(self, images: Sequence[Image]) -> None:
        """Hand the images to all nodes at once, each its share."""
        doors = [(site, node) for site in self.mesh.sites.values() for node in site.nodes]
        with ExitStack() as stack:
            at_work = []
            for number, (site, node) in enumerate(doors):
                share = images[number :: len(doors)]
                if share:
                    at_work.append((site, node, share, stack.enter_context(_modality(site, node, share))))
            taken = [self._note(site, node, share, sending) for site, node, share, sending in at_work]
        self._narrator.happened(f"from the modality: {', '.join(taken)}")
        self._show()

    def wait_delivered(self) -> bool:
        """Whether every image that was sent came to its PACS unchanged within the time."""
        return self._wait(lambda: self.ledger.tally().lost == 0, self._look_at_pacs)

    def wait_indexed(self) -> bool:
        """Whether the central search lists every image as delivered within the time."""

        def look() -> None:
            self._look_at_pacs()
            self._look_at_centre()

        return self._wait(lambda: self.ledger.tally().indexed == self.ledger.tally().sent, look)

    @property
    def pooled(self) -> Site | None:
        """The site with HAProxy before its nodes, when there is one."""
        return next((site for site in self.mesh.sites.values() if site.pool is not None), None)

    def upgrade_a_node(self, images: Sequence[Image]) -> None:
        """Drain a node behind HAProxy, start it anew as an upgrade would, and bring it back; the modality goes on."""
        site = self.pooled
        if site is None or site.pool is None:
            self.send(images)
            return
        node, half = site.nodes[0], len(images) // 2
        site.pool.ask("drain", node.name, "--wait", "--deadline", "30")
        self._narrator.happened(f"HAProxy gives {node.name} nothing any more, and what was open on it has ended")
        node.stop()
        self.send(images[:half])
        node.start()
        site.pool.ask("ready", node.name)
        self._narrator.happened(f"{node.name} was started anew, and gets associations again")
        self.send(images[half:])

    def switch_centre_off(self) -> None:
        """Stop the control plane. The sites are not told."""
        self.mesh.control.stop()
        self._narrator.happened("the control plane is switched off")
        self._show()

    def switch_centre_on(self) -> None:
        """Start it again with what it knew."""
        self.mesh.control.start()
        self._narrator.happened("the control plane is switched on again")
        self._show()

    def look(self) -> None:
        """Look everywhere once, without waiting; a centre that is off is passed over."""
        self._look_at_pacs()
        if self.mesh.control.running:
            with suppress(CommandFailed):
                self._look_at_centre()
        self._show()

    def _note(self, site: Site, node: Edge, share: Sequence[Image], sending: Sending) -> str:
        # All of the share counts as sent: that the modality can send each of them is known from the plain sink.
        self.ledger.note_sent(site.name, share)
        report, door = sending.report(), site.name if site.pool is not None else node.name
        for failed in report.failed:
            self._narrator.happened(f"{door} did not take {failed.path.name}: {failed.status}")
        return f"{door} took {len(report.succeeded)} of {len(share)}"

    def _wait(self, done: Callable[[], bool], look: Callable[[], None]) -> bool:
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            look()
            self._show()
            if done():
                return True
            if time.monotonic() > deadline:
                return False
            time.sleep(_LOOK_SECONDS)

    def _look_at_pacs(self) -> None:
        for site in self.mesh.sites.values():
            self.ledger.note_pacs(site.name, site.pacs.received(known=self.ledger.delivered))

    def _look_at_centre(self) -> None:
        self.ledger.note_search(self.mesh.api.every("/instances"))
        self._fleet = self.mesh.fleet()
        self._fleet_seen_at = time.monotonic()

    def _show(self) -> None:
        control = self.mesh.control
        password = control.password_file.read_text().strip()
        self._narrator.show(
            Scene(
                url=control.url,
                login=f"admin / {password}   (from {control.password_file})",
                programs=[(program.name, _what(program), program.running) for program in self.mesh.programs],
                fleet=self._fleet,
                fleet_seen_at=self._fleet_seen_at,
                tally=self.ledger.tally(),
            )
        )


def _modality(site: Site, node: Edge, share: Sequence[Image]) -> Sending:
    paths = [image.path for image in share]
    if site.pool is not None:
        return Sending(paths, port=site.pool_port, called="SKERRY", calling="MODALITY")
    return Sending(paths, port=node.dicom_port, called=node.name.upper(), calling="MODALITY")


def _what(program: Program) -> str:
    match program:
        case Control():
            return f"control plane, {program.url}"
        case Mosquitto():
            return f"broker, port {program.port}"
        case PoolManager():
            return f"HAProxy before the nodes, and its manager, {program.http_url}"
        case Edge():
            return f"edge node, DICOM port {program.dicom_port}, health {program.http_url}"
        case _:
            return "storescp, the PACS of its site"
