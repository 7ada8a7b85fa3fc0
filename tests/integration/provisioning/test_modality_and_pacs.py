"""DCMTK's sender and sink as the starters run them, without a mesh between."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom.data import get_testdata_file

from provisioning.errors import CommandFailed
from provisioning.local.dataset import read_part10
from provisioning.local.dcmsend import parse_report, send
from provisioning.local.ports import free_port
from provisioning.local.storescp import StoreScp
from tests.real_programs import require


@pytest.fixture(autouse=True)
def dcmtk() -> None:
    require("storescp", "dcmsend")


def shipped(name: str) -> Path:
    found = get_testdata_file(name)
    assert isinstance(found, str)
    return Path(found)


def test_what_the_sink_keeps_is_byte_for_byte_what_was_on_the_wire(tmp_path: Path) -> None:
    # This file's encoding is one that DCMTK reproduces, so the file itself tells what was on the wire.
    image = shipped("examples_overlay.dcm")
    with StoreScp(tmp_path / "pacs") as pacs:
        report = send([image], port=pacs.port, called=pacs.ae_title)
        kept = pacs.received()
    assert [sent.path for sent in report.succeeded] == [image]
    assert kept[report.files[0].sop_instance_uid].data_set == read_part10(image).data_set


def test_a_file_that_cannot_be_sent_is_reported_and_does_not_stop_the_others(tmp_path: Path) -> None:
    with StoreScp(tmp_path / "pacs") as pacs:
        report = send([shipped("MR_truncated.dcm"), shipped("CT_small.dcm")], port=pacs.port)
    assert [sent.path.name for sent in report.failed] == ["MR_truncated.dcm"]
    assert [sent.path.name for sent in report.succeeded] == ["CT_small.dcm"]


def test_a_peer_that_is_not_there_is_an_error_and_not_an_empty_report() -> None:
    with pytest.raises(CommandFailed, match="Connection refused"):
        send([shipped("CT_small.dcm")], port=free_port())


def test_a_report_without_files_is_empty() -> None:
    assert parse_report("Status Summary\n") == ()
