"""A whole node that decompresses: the peer that takes nothing compressed has the values, and the node stays small."""

from __future__ import annotations

import os
import signal
from functools import partial
from pathlib import Path

import psutil
from pydicom import dcmread
from pydicom.data import get_testdata_file

from provisioning.local.dcmsend import send
from provisioning.local.storescp import StoreScp
from tests.edge_door import TunedEdge
from tests.jpeg_samples import sample
from tests.real_programs import require

POLICY = """\
skerry: 1
destinations:
  - {{name: old, kind: dicom, ae_title: OLD, host: 127.0.0.1, port: {port}, syntax: decompress}}
routes:
  - {{name: all, to: [old]}}
"""
PAIRS = {
    "MR_small_jp2klossless.dcm": "MR_small.dcm",
    "emri_small_jpeg_ls_lossless.dcm": "emri_small.dcm",
    "SC_rgb_jpeg_gdcm.dcm": "SC_rgb.dcm",
}


def test_a_node_decodes_in_a_program_of_its_own_and_survives_its_death(tmp_path: Path) -> None:
    require("storescp", "dcmsend")
    policy = tmp_path / "policy.yaml"
    with StoreScp(tmp_path / "pacs", syntaxes="+x=") as pacs:
        policy.write_text(POLICY.format(port=pacs.port), encoding="utf-8")
        with TunedEdge(tmp_path, policy=policy, stall_seconds=10) as edge:
            for number, name in enumerate(PAIRS, start=1):
                file = Path(str(get_testdata_file(name, download=False)))
                assert send([file], port=edge.dicom_port).succeeded
                edge.wait(partial(_has, pacs, number), f"{name} did not arrive", seconds=30)
                (worker,) = _workers(edge.pid)
                os.kill(worker.pid, signal.SIGKILL)  # between two objects it is nobody's loss
            assert edge.ask("status")["buffer"]["deliveries_parked"] == 0
            forward = [one for one in psutil.Process(edge.pid).children() if "forward" in one.cmdline()]
            assert forward
            assert not [one for process in forward for one in process.memory_maps() if "gdcm" in one.path]
            assert "process.ended" not in edge.log_text()
    got = {one.SOPInstanceUID: one.PixelData for one in map(dcmread, (tmp_path / "pacs").iterdir())}
    for packed, plain in PAIRS.items():
        assert got[sample(packed).sop_instance_uid] == dcmread(str(get_testdata_file(plain, download=False))).PixelData


def _has(pacs: StoreScp, count: int) -> bool:
    return len(pacs.received()) == count


def _workers(pid: int) -> list[psutil.Process]:
    """What decodes for this node now."""
    below = psutil.Process(pid).children(recursive=True)
    return [one for one in below if "edge.forward.decoding.worker" in one.cmdline() and one.status() != "zombie"]
