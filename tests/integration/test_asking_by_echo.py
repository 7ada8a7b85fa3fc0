"""C-ECHO to peers of every kind: by hand, and before a lane tries a destination that was down with images."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from pynetdicom import AE, evt
from pynetdicom.events import EventHandlerType

from edge.buffer.store import Buffer
from edge.errors import SettingsError, UnknownInstance
from edge.forward.asked_peers import peers_of
from edge.forward.base import Accepted, Asks, DestinationDown
from edge.forward.cstore import CStoreForwarder
from edge.forward.echo import EchoAnswer, ask
from edge.forward.group import GroupForwarder
from edge.forward.in_their_name import InTheirName
from edge.model import DicomDestination, FolderDestination, GroupDestination, Tls
from edge.orders import Orders, publish
from edge.run_dir import RunDir
from edge.upper_layer import pdu
from provisioning.local.command import own_script
from provisioning.local.ports import free_port
from provisioning.local.storescp import StoreScp
from tests.edge_samples import data_set
from tests.real_programs import require
from tests.sending import deliver, deliveries

POLICY = """\
skerry: 1
destinations:
  - {{name: pacs, kind: dicom, ae_title: PACS, host: 127.0.0.1, port: {port}, calling_ae_title: source}}
routes:
  - {{name: all, to: [pacs]}}
"""
CT, VERIFICATION = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.1"


def _peer(port: int, *, name: str = "pacs", tls: Tls | None = None, calling: str = "SKERRY") -> DicomDestination:
    return DicomDestination(name=name, host="127.0.0.1", port=port, ae_title="PACS", tls=tls, calling_ae_title=calling)


@contextmanager
def _scp(
    *supported: str, status: int = 0, calling: Sequence[str] = (), called: bool = False, seen: list[str] | None = None
) -> Iterator[int]:
    """A peer that supports these SOP classes; notes in `seen` what is asked of it."""
    heard = [] if seen is None else seen

    def echoed(event: evt.Event) -> int:
        heard.append("echo")
        return status

    def stored(event: evt.Event) -> int:
        heard.append("store")
        return 0

    ae = AE("PACS")
    for one in supported:
        ae.add_supported_context(one)
    ae.require_calling_aet = list(calling)
    ae.require_called_aet = called
    handlers: list[EventHandlerType] = [(evt.EVT_C_ECHO, echoed), (evt.EVT_C_STORE, stored)]
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    assert server is not None
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()


@contextmanager
def _rough(does: Callable[[socket.socket], None]) -> Iterator[int]:
    """A peer of raw bytes."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        over = threading.Event()

        def serve() -> None:
            while not over.is_set():
                try:
                    one, _address = door.accept()
                except OSError:
                    return
                with one:
                    one.settimeout(5)
                    one.recv(4096)
                    does(one)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield door.getsockname()[1]
        over.set()
        with socket.socket() as last:
            last.connect_ex(("127.0.0.1", door.getsockname()[1]))
            last.close()
        thread.join(6)


def test_a_peer_that_answers_is_well(tmp_path: Path) -> None:
    require("storescp")
    with StoreScp(tmp_path / "pacs") as pacs:
        said = ask(_peer(pacs.port), tmp_path)
    assert (said.kind, said.well, said.text, said.hint) == ("answered", True, "it answers", "")
    assert (said.host, said.port, said.ae_title, said.calling_ae_title) == ("127.0.0.1", pacs.port, "PACS", "SKERRY")
    assert not said.tls
    assert 0 < said.milliseconds < 60_000


def test_each_way_of_not_answering_has_its_own_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.forward.echo.ANSWER_SECONDS", 1.0)
    found: dict[str, EchoAnswer] = {}

    def note(port: int, *, host: str = "127.0.0.1", tls: Tls | None = None) -> None:
        peer = DicomDestination(name="d", host=host, port=port, ae_title="OTHER", tls=tls)
        said = ask(peer, tmp_path)
        found[said.kind] = said

    note(free_port())
    note(104, host="no-such-host.invalid")
    with _scp(CT) as port:
        note(port)
    with _scp(CT, VERIFICATION, status=0x0110) as port:
        note(port)
    with _scp(VERIFICATION, calling=["ELSE"]) as port:
        note(port)
    with _scp(VERIFICATION, called=True) as port:
        note(port)
    with _rough(lambda one: one.sendall(pdu.abort(0))) as port:
        note(port)
    with _rough(lambda _one: None) as port:
        note(port)
    with _rough(lambda one: one.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as port:
        note(port)
    with _rough(lambda _one: time.sleep(1.5)) as port:
        note(port)
    with _rough(lambda one: one.sendall(pdu.rejection(2, 3, 2))) as port:
        note(port)
    with _rough(lambda one: one.sendall(pdu.rejection(1, 1, 1))) as port:
        note(port)
    with _rough(lambda one: one.sendall(b"no TLS")) as port:
        note(port, tls=Tls(ca=str(tmp_path / "no-such-file.pem")))
    assert {kind: said.well for kind, said in found.items()} == {
        "refused": False,
        "name": False,
        "no_verification": True,
        "status": False,
        "calling_ae_title": False,
        "called_ae_title": False,
        "aborted": False,
        "closed": False,
        "not_dicom": False,
        "silent": False,
        "busy": False,
        "rejected": False,
        "tls": False,
    }
    assert len({said.text for said in found.values()}) == len(found)
    assert all(said.hint for said in found.values())
    assert found["called_ae_title"].text.endswith("it does not know the called AE title")
    assert found["status"].text == "it answers C-ECHO with status 0x0110"


def test_what_is_asked_before_images_costs_no_instance_and_leaves_doubt_to_real_work(buffer: Buffer) -> None:
    seen: list[str] = []
    with _scp(CT, VERIFICATION, seen=seen) as port:
        forwarder = CStoreForwarder(_peer(port), buffer.spool, idle_seconds=5.0)
        assert isinstance(forwarder, Asks)
        assert forwarder.ask()
        assert seen == ["echo"]
        assert deliver(forwarder, deliveries(buffer, {"1.2.1": data_set("1.2.1")})).kinds() == {"1.2.1": Accepted}
        assert forwarder.ask()  # what rests is released first: a peer may serve one at a time
        assert seen == ["echo", "store", "echo"]
        forwarder.close()
    with pytest.raises(DestinationDown):
        forwarder.ask()
    with _scp(CT, seen=seen) as port:
        assert not CStoreForwarder(_peer(port), buffer.spool).ask()
    with _rough(lambda one: one.sendall(pdu.abort(0))) as port:
        assert not CStoreForwarder(_peer(port), buffer.spool).ask()
    with _scp(VERIFICATION, calling=["ELSE"]) as port, pytest.raises(DestinationDown):
        CStoreForwarder(_peer(port), buffer.spool).ask()


def test_a_name_of_a_sender_that_is_not_known_says_nothing_of_the_others(buffer: Buffer) -> None:
    with _scp(CT, VERIFICATION, calling=["ELSE"]) as port:
        names = InTheirName(lambda name: CStoreForwarder(_peer(port, calling=name), buffer.spool))
        assert not names.ask()
        deliver(names, deliveries(buffer, {"1.2.1": data_set("1.2.1")}))
        assert not names.ask()
        names.close()


def test_a_member_of_a_group_that_was_down_is_asked_before_it_gets_an_image(buffer: Buffer) -> None:
    port, seen = free_port(), list[str]()
    first = CStoreForwarder(_peer(port, name="first"), buffer.spool)
    with _scp(CT, VERIFICATION, seen=seen) as second_port:
        second = CStoreForwarder(_peer(second_port, name="second"), buffer.spool)
        members = (_peer(port, name="first"), _peer(second_port, name="second"))
        group = GroupForwarder(
            GroupDestination(name="g", how="failover", members=members), {"first": first, "second": second}
        )
        assert deliver(group, deliveries(buffer, {"1.2.1": data_set("1.2.1")})).kinds() == {"1.2.1": Accepted}
        assert seen == ["store"]
        group._members[0].rests_until = 0.0
        asked: list[str] = []
        group._members[0].forwarder = _Noting(first, asked)
        assert deliver(group, deliveries(buffer, {"1.2.2": data_set("1.2.2")})).kinds() == {"1.2.2": Accepted}
        assert asked == ["ask"]
        group.close()


class _Noting:
    """A forwarder that notes what is asked of it."""

    def __init__(self, forwarder: CStoreForwarder, asked: list[str]) -> None:
        self._forwarder, self._asked = forwarder, asked
        self.rest, self.close, self.interrupt = forwarder.rest, forwarder.close, forwarder.interrupt

    def ask(self) -> bool:
        self._asked.append("ask")
        return self._forwarder.ask()

    def deliver(self, *words: object) -> None:
        self._asked.append("deliver")
        raise AssertionError("it got images although it does not answer")


def test_by_hand_with_what_the_policy_that_ran_last_says(tmp_path: Path) -> None:
    require("storescp")
    run_dir = RunDir(tmp_path)
    run_dir.clear()
    with StoreScp(tmp_path / "pacs") as pacs:
        publish(run_dir, Orders(policy="local:1", destinations=(_peer(pacs.port, name="PACS"),)))
        well = _by_hand(tmp_path, "PACS")
        assert well.returncode == 0
        assert well.stdout.startswith(f"PACS: it answers (PACS at 127.0.0.1:{pacs.port}, called as SKERRY, ")
    gone = _by_hand(tmp_path, "PACS", "--json")
    assert gone.returncode == 1
    (said,) = json.loads(gone.stdout)
    assert (said["kind"], said["well"]) == ("refused", False)
    unknown = _by_hand(tmp_path, "PAX")
    assert unknown.returncode == 3
    assert "no destination `PAX`" in unknown.stderr
    assert "Known: PACS." in unknown.stderr


def test_by_hand_with_a_document_that_does_not_run_yet(tmp_path: Path) -> None:
    document = tmp_path / "policy.yaml"
    document.write_text(POLICY.format(port=free_port()))
    gone = _by_hand(tmp_path / "node", "pacs", "--policy", str(document))
    assert gone.returncode == 1
    assert "nothing listens there" in gone.stdout
    assert "called as SKERRY" in gone.stdout
    without = _by_hand(tmp_path / "node", "pacs")
    assert without.returncode == 2
    assert "no policy has run in" in without.stderr


def _by_hand(data_dir: Path, *words: str) -> subprocess.CompletedProcess[str]:
    argv = [own_script("skerry-edge"), "echo", "--data-dir", str(data_dir), *words]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)


def test_all_peers_of_a_group_are_asked_and_a_folder_is_no_peer() -> None:
    first, second = _peer(1, name="first"), _peer(2, name="second")
    folder = FolderDestination(name="folder", path="/mnt")
    known = (GroupDestination(name="both", how="failover", members=(first, second, folder)), _peer(3), folder)
    assert peers_of("both", known) == [first, second]
    assert peers_of("second", known) == [second]
    with pytest.raises(SettingsError):
        peers_of("folder", known)
    with pytest.raises(UnknownInstance):
        peers_of("third", known)
