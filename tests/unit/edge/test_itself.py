"""A destination that is the node itself: told at check time where the document shows it, and never called."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from edge.buffer.spool import Spool
from edge.forward import ourselves
from edge.forward.base import DestinationDown
from edge.forward.credentials import Credentials
from edge.forward.dicomweb import DicomWebForwarder
from edge.forward.ourselves import leads_by_name, leads_to, refuse_our_url, refuse_ourselves, this_node_listens_at
from edge.model import DicomWebDestination
from edge.policy.document import check_policy, load_policy

POLICY = """\
skerry: 1
destinations:
  - {name: pacs, kind: dicom, ae_title: PACS, host: 10.0.0.5, port: 104}
  - name: loop
    kind: dicom
    ae_title: SKERRY
    host: HOST
    port: 11112
routes:
  - {name: all, to: [pacs, loop]}
"""


@pytest.mark.parametrize(
    ("host", "listen", "is_itself"),
    [
        ("127.0.0.1", "0.0.0.0:11112", True),
        ("localhost", "127.0.0.1:11112", True),
        ("10.0.0.9", "10.0.0.9:11112", True),
        ("edge07.hospital", "edge07.hospital:11112", True),
        ("10.0.0.9", "0.0.0.0:11112", False),  # whose address that is shows when the node runs
        ("127.0.0.1", "0.0.0.0:11113", False),
        ("10.0.0.9", "10.0.0.8:11112", False),
        ("127.0.0.1", "", False),
    ],
)
def test_a_policy_that_sends_to_its_own_node_is_refused_with_line_and_column(
    host: str, listen: str, is_itself: bool
) -> None:
    found = check_policy(POLICY.replace("HOST", host), listen=listen)
    told = [(one.severity, one.line, one.column) for one in found]
    assert told == ([("error", 8, 11)] if is_itself else [])
    assert all("`loop` is the node itself" in one.message and "Name another" in one.hint for one in found)


def test_a_policy_that_was_accepted_still_loads() -> None:
    assert len(load_policy(POLICY.replace("HOST", "127.0.0.1")).destinations) == 2


def own_address() -> str:
    """An address of this machine that is not the loopback's, if it has one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])


def test_every_address_of_this_machine_leads_to_a_door_that_is_open_on_all_of_them() -> None:
    for host in ("127.0.0.1", "127.3.2.1", "0.0.0.0", own_address(), f"::ffff:{own_address()}"):
        assert leads_to(host, 11112, ("0.0.0.0", 11112)), host
    assert not leads_to(own_address(), 11113, ("0.0.0.0", 11112))
    assert not leads_to("192.0.2.1", 11112, ("0.0.0.0", 11112))


def test_another_address_leads_not_to_a_door_that_is_open_on_one() -> None:
    assert leads_to("127.0.0.1", 11112, ("127.0.0.1", 11112))
    assert not leads_to("127.0.0.2", 11112, ("127.0.0.1", 11112))
    assert not leads_to("edge07", 11112, ("127.0.0.1", 11112))


def test_who_would_send_to_itself_is_told_what_to_mend(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ourselves, "_doors", set())
    refuse_ourselves([("127.0.0.1", 11112)])
    this_node_listens_at("127.0.0.1:11112")
    refuse_ourselves([("127.0.0.1", 104)])
    with pytest.raises(DestinationDown, match=r"127\.0\.0\.1:11112 is this node itself") as told:
        refuse_ourselves([("127.0.0.2", 11112), ("127.0.0.1", 11112)])
    assert "Name another host or port" in told.value.hint


WEB = """\
skerry: 1
destinations:
  - name: loop
    kind: dicomweb
    url: http://edge07.hospital:8042/dicom-web
  - {name: bucket, kind: s3, bucket: images, endpoint: "http://127.0.0.1:11112", region: eu}
routes:
  - {name: all, to: [loop, bucket]}
"""


def names(host: str) -> tuple[str, ...]:
    """A name server that knows one machine."""
    known = {"edge07.hospital": ("127.0.0.1",), "edge07": ("127.0.0.1",), "pacs": ("10.0.0.5",)}
    return (host,) if host[0].isdigit() else known.get(host, ())


def test_a_policy_that_sends_to_its_own_node_by_a_name_is_refused_once_the_name_is_looked_up() -> None:
    text = POLICY.replace("HOST", "edge07.hospital")
    assert check_policy(text, listen="0.0.0.0:11112") == ()

    def leads(host: str, port: int, door: str) -> bool:
        return leads_by_name(host, port, door, resolve=names)

    (found,) = check_policy(text, listen="0.0.0.0:11112", leads=leads)
    assert (found.line, found.message) == (8, "`loop` is the node itself, which listens at 0.0.0.0:11112")
    assert check_policy(text, listen="0.0.0.0:11113", leads=leads) == ()
    assert check_policy(text.replace("edge07.hospital", "unknown"), listen="0.0.0.0:11112", leads=leads) == ()
    assert leads_by_name("127.0.0.1", 104, "edge07:104", resolve=names)


def test_services_are_compared_with_both_doors_of_a_node() -> None:
    def leads(host: str, port: int, door: str) -> bool:
        return leads_by_name(host, port, door, resolve=names)

    found = check_policy(WEB, listen="127.0.0.1:11112", http="127.0.0.1:8042", leads=leads)
    assert [(one.line, one.message) for one in found] == [
        (5, "`loop` is the node itself, which listens at 127.0.0.1:8042"),
        (6, "`bucket` is the node itself, which listens at 127.0.0.1:11112"),
    ]


def test_a_service_that_is_this_node_is_never_called(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(ourselves, "_doors", set())
    with socket.create_server(("127.0.0.1", 0)) as door:
        door.settimeout(0.2)
        port = door.getsockname()[1]
        this_node_listens_at(f"127.0.0.1:{port}")
        destination = DicomWebDestination(name="loop", url=f"http://localhost:{port}/dicom-web")
        forwarder = DicomWebForwarder(destination, Spool(tmp_path / "spool"), Credentials(tmp_path))
        with pytest.raises(DestinationDown, match=f":{port} is this node itself"):
            forwarder.get("/studies")
        forwarder.close()
        with pytest.raises(TimeoutError):
            door.accept()


def test_a_name_without_an_address_and_a_port_that_is_not_known_yet_refuse_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ourselves, "_doors", set())
    this_node_listens_at("127.0.0.1:0")
    refuse_our_url("http://127.0.0.1:0/")
    this_node_listens_at("127.0.0.1:80")
    refuse_our_url("http://name.invalid/")
    with pytest.raises(DestinationDown):
        refuse_our_url("http://127.0.0.1/")
