"""The centre is put back from a backup: what it once knew and lost, its nodes tell it again."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from provisioning.demo.ledger import Ledger
from provisioning.local.command import own_script, run
from provisioning.local.control import Control
from provisioning.local.dcmsend import send
from provisioning.local.edge import Edge
from provisioning.local.images import Image, prepare, shipped_files
from provisioning.local.mesh import NORTH_AND_SOUTH, Mesh
from tests.conftest import Figures
from tests.real_programs import require

NAMES = ("CT_small.dcm", "MR_small.dcm", "rtplan.dcm", "waveform_ecg.dcm")


def until(done: Callable[[], bool], *, seconds: float = 60.0) -> bool:
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def fresh(folder: Path) -> Sequence[Image]:
    return prepare((path for path in shipped_files() if path.name in NAMES), folder, fresh=True).images


def travel(mesh: Mesh, node: Edge, images: Sequence[Image]) -> None:
    """Send them, and wait until they are in the PACS and known at the centre."""
    ledger = Ledger()
    ledger.note_sent("north", images)
    report = send([image.path for image in images], port=node.dicom_port, called=node.name.upper())
    assert len(report.succeeded) == len(images), report.failed
    assert until(lambda: is_known(mesh, ledger)), ledger.missing()


def is_known(mesh: Mesh, ledger: Ledger) -> bool:
    ledger.note_pacs("north", mesh.sites["north"].pacs.received())
    ledger.note_search(mesh.api.every("/instances"))
    return ledger.tally().whole


def put_back(control: Control, backup: Path) -> None:
    """As docs/backup.md says."""
    control.stop()
    gone = control.data_dir.with_name("lost")
    control.data_dir.rename(gone)
    run([own_script("skerry-control"), "restore", str(backup), "--data-dir", str(control.data_dir)])
    if not control.password_file.exists():
        control.password_file.write_text((gone / "admin-password").read_text())
    control.start()


def test_a_centre_that_is_put_back_from_an_older_backup_hears_again_what_it_lost(
    tmp_path: Path, figures: Figures
) -> None:
    require("storescp", "dcmsend", "mosquitto")
    (north,) = (plan for plan in NORTH_AND_SOUTH if plan.name == "north")
    with Mesh(tmp_path / "mesh") as mesh:
        mesh.start_centre()
        mesh.add_site(north)
        mesh.wait_until_in_force()
        node, other = mesh.nodes
        images = [*fresh(tmp_path / "before")]
        travel(mesh, node, images)
        backup = tmp_path / "backup.tar.gz"
        run([own_script("skerry-control"), "backup", str(backup), "--data-dir", str(mesh.control.data_dir)])
        for one in (node, other):
            lost = fresh(tmp_path / f"after-{one.name}")
            travel(mesh, one, lost)
            images += lost
        put_back(mesh.control, backup)
        known = {one["sop_instance_uid"] for one in mesh.api.every("/instances")}
        began = time.monotonic()
        # Nothing new is sent: nodes that have nothing to tell notice it too.
        again = Ledger()
        again.note_sent("north", images)
        assert until(lambda: is_known(mesh, again)), again.missing()
        figures(
            f"centre restored: it knew {len(known)} images of its backup, had lost {2 * len(NAMES)}, "
            f"knew all again {time.monotonic() - began:.1f} s after its start"
        )
        travel(mesh, node, fresh(tmp_path / "late"))
        found = [one["sop_instance_uid"] for one in mesh.api.every("/instances")]
        assert len(found) == len(set(found)) == 4 * len(NAMES)
