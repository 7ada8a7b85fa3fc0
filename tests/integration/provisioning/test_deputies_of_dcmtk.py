"""Without DCMTK the demo goes on with deputies, which must be as faithful."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from pydicom.data import get_testdata_file

from provisioning.errors import CommandFailed
from provisioning.local import dcmsend, images, storescp
from provisioning.local.dataset import read_part10
from provisioning.local.dcmsend import send
from provisioning.local.images import prepare, shipped_files
from provisioning.local.ports import free_port
from provisioning.local.program import is_installed
from provisioning.local.storescp import StoreScp


@pytest.fixture(autouse=True)
def without_dcmtk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storescp, "dcmtk_installed", lambda: False)
    monkeypatch.setattr(images, "dcmtk_installed", lambda: False)
    monkeypatch.setattr(dcmsend, "dcmtk_installed", lambda: False)


def shipped(name: str) -> Path:
    found = get_testdata_file(name)
    assert isinstance(found, str)
    return Path(found)


def test_the_bytes_of_the_file_are_sent_and_kept(tmp_path: Path) -> None:
    files = [shipped(name) for name in ("CT_small.dcm", "image_dfl.dcm", "MR_small_bigendian.dcm", "JPEG2000.dcm")]
    with StoreScp(tmp_path / "pacs") as pacs:
        report = send(files, port=pacs.port, called=pacs.ae_title)
        kept = pacs.received()
    assert [sent.path for sent in report.succeeded] == files
    for sent in report.succeeded:
        assert kept[sent.sop_instance_uid].data_set == read_part10(sent.path).data_set


def test_nearly_all_shipped_files_can_be_sent(tmp_path: Path) -> None:
    batch = prepare(shipped_files(), tmp_path / "images", fresh=True)
    assert len(batch.images) >= 145


def test_a_peer_that_is_not_there_is_an_error() -> None:
    with pytest.raises(CommandFailed, match="Connection refused"):
        send([shipped("CT_small.dcm")], port=free_port())


@pytest.mark.skipif(not is_installed("dcmsend"), reason="DCMTK is not installed")
def test_the_deputy_sink_takes_what_dcmtk_sends(tmp_path: Path) -> None:
    with StoreScp(tmp_path / "pacs") as pacs:
        subprocess.run(["dcmsend", "127.0.0.1", str(pacs.port), str(shipped("CT_small.dcm"))], check=True, timeout=60)
        assert len(pacs.received()) == 1
