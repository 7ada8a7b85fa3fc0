"""One suite that every forwarder must pass, against real destinations."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
from pynetdicom import AE

from edge.buffer.spool import Spool
from edge.buffer.store import Buffer
from edge.durable import write_durably
from edge.forward.base import Accepted, DestinationDown, Forwarder, Outcome, Refused, TryLater, Unfit
from edge.forward.credentials import Credentials
from edge.forward.cstore import CStoreForwarder
from edge.forward.dicomweb import DicomWebForwarder
from edge.forward.folder import FolderForwarder
from edge.forward.group import GroupForwarder
from edge.forward.s3 import S3Forwarder
from edge.model import (
    ClaimedDelivery,
    DicomDestination,
    DicomWebDestination,
    FolderDestination,
    GroupDestination,
    S3Destination,
)
from provisioning.local.dataset import read_part10
from provisioning.local.ports import free_port
from provisioning.local.storescp import StoreScp
from tests.edge_samples import CT, data_set, routed, take
from tests.object_store import BUCKET, KEYS, ObjectStore
from tests.orthanc import PASSWORD, PLUGIN, USER, Orthanc
from tests.real_programs import require, require_file


@dataclass(frozen=True, kw_only=True)
class Rig:
    """A forwarder, its destination, and ways to look at and to hurt the destination."""

    forwarder: Forwarder
    received: Callable[[], dict[str, bytes]]
    take_away: Callable[[], None]
    bring_back: Callable[[], None]


def _pacs_rig(tmp_path: Path, spool: Spool) -> Iterator[Rig]:
    with StoreScp(tmp_path / "pacs") as pacs:
        destination = DicomDestination(name="d", host="127.0.0.1", port=pacs.port, ae_title=pacs.ae_title)
        yield Rig(
            forwarder=CStoreForwarder(destination, spool),
            received=lambda: {uid: part.data_set for uid, part in pacs.received().items()},
            take_away=lambda: (pacs.stop(), None)[1],
            bring_back=pacs.start,
        )


def _folder_rig(tmp_path: Path, spool: Spool) -> Iterator[Rig]:
    folder = tmp_path / "archive"
    folder.mkdir()
    hidden = tmp_path / "hidden"

    def received() -> dict[str, bytes]:
        parts = [read_part10(path) for path in folder.rglob("*.dcm")]
        return {part.sop_instance_uid: part.data_set for part in parts}

    yield Rig(
        forwarder=FolderForwarder(FolderDestination(name="d", path=str(folder)), spool),
        received=received,
        take_away=lambda: (folder.rename(hidden), None)[1],
        bring_back=lambda: (hidden.rename(folder), None)[1],
    )


def _credentials(tmp_path: Path, **content: str) -> Credentials:
    folder = tmp_path / "node" / "credentials"
    folder.mkdir(mode=0o700)
    write_durably(folder / "peer", json.dumps(content).encode(), mode=0o600)
    return Credentials(tmp_path / "node")


def _dicomweb_rig(tmp_path: Path, spool: Spool) -> Iterator[Rig]:
    require("Orthanc")
    require_file(PLUGIN, package="orthanc-dicomweb")
    with Orthanc(tmp_path / "orthanc") as service:
        credentials = _credentials(tmp_path, username=USER, password=PASSWORD)
        destination = DicomWebDestination(name="d", url=service.url, credentials="peer")
        yield Rig(
            forwarder=DicomWebForwarder(destination, spool, credentials),
            received=service.received,
            take_away=lambda: (service.stop(), None)[1],
            bring_back=service.start,
        )


def _s3_rig(tmp_path: Path, spool: Spool) -> Iterator[Rig]:
    with ObjectStore(tmp_path / "moto") as store:
        destination = S3Destination(name="d", bucket=BUCKET, endpoint=store.url, credentials="peer")
        yield Rig(
            forwarder=S3Forwarder(destination, spool, _credentials(tmp_path, **KEYS)),
            received=store.received,
            take_away=lambda: (store.stop(), None)[1],
            bring_back=store.start,
        )


def _group_rig(how: Literal["failover", "balance"]) -> Callable[[Path, Spool], Iterator[Rig]]:
    def rig(tmp_path: Path, spool: Spool) -> Iterator[Rig]:
        with StoreScp(tmp_path / "a") as one, StoreScp(tmp_path / "b") as other:
            members = tuple(
                DicomDestination(name=name, host="127.0.0.1", port=pacs.port, ae_title=pacs.ae_title)
                for name, pacs in (("a", one), ("b", other))
            )
            group = GroupDestination(name="d", how=how, members=members)

            def bring_back() -> None:
                one.start()
                other.start()

            yield Rig(
                forwarder=GroupForwarder(group, {member.name: CStoreForwarder(member, spool) for member in members}),
                received=lambda: {uid: part.data_set for pacs in (one, other) for uid, part in pacs.received().items()},
                take_away=lambda: (one.stop(), other.stop(), None)[2],
                bring_back=bring_back,
            )

    return rig


_RIGS = {
    "dicom": _pacs_rig,
    "folder": _folder_rig,
    "dicomweb": _dicomweb_rig,
    "s3": _s3_rig,
    "failover": _group_rig("failover"),
    "balance": _group_rig("balance"),
}


@pytest.fixture(params=list(_RIGS))
def rig(request: pytest.FixtureRequest, tmp_path: Path, buffer: Buffer) -> Iterator[Rig]:
    rigs = _RIGS[request.param](tmp_path, buffer.spool)
    made = next(rigs)
    yield made
    made.forwarder.close()
    next(rigs, None)


def _queue(buffer: Buffer, *uids: str, content: bytes | None = None) -> list[ClaimedDelivery]:
    buffer.admit([routed(take(buffer, uid, content), "d") for uid in uids])
    return buffer.claim("d", 100)


def _deliver(forwarder: Forwarder, deliveries: list[ClaimedDelivery]) -> dict[str, Outcome]:
    outcomes: dict[str, Outcome] = {}
    forwarder.deliver(
        deliveries, lambda delivery, outcome: outcomes.update({delivery.sealed.sop_instance_uid: outcome})
    )
    return outcomes


def test_every_instance_is_settled_once_and_arrives_byte_for_byte(rig: Rig, buffer: Buffer) -> None:
    uids = [f"1.2.{n}" for n in range(12)]
    outcomes = _deliver(rig.forwarder, _queue(buffer, *uids))
    assert {uid: type(outcome) for uid, outcome in outcomes.items()} == dict.fromkeys(uids, Accepted)
    assert rig.received() == {uid: data_set(uid) for uid in uids}


def test_a_large_instance_arrives_byte_for_byte(rig: Rig, buffer: Buffer) -> None:
    content = data_set("1.2.9", body=os.urandom(20_000_000))
    outcomes = _deliver(rig.forwarder, _queue(buffer, "1.2.9", content=content))
    assert isinstance(outcomes["1.2.9"], Accepted)
    assert rig.received()["1.2.9"] == content


def test_delivering_the_same_instance_again_is_accepted_and_changes_nothing(rig: Rig, buffer: Buffer) -> None:
    deliveries = _queue(buffer, "1.2.1")
    assert isinstance(_deliver(rig.forwarder, deliveries)["1.2.1"], Accepted)
    assert isinstance(_deliver(rig.forwarder, deliveries)["1.2.1"], Accepted)
    assert rig.received() == {"1.2.1": data_set("1.2.1")}


def test_a_destination_that_is_away_settles_nothing_and_is_used_again_when_it_is_back(rig: Rig, buffer: Buffer) -> None:
    deliveries = _queue(buffer, "1.2.1", "1.2.2")
    rig.take_away()
    settled: list[ClaimedDelivery] = []
    with pytest.raises(DestinationDown) as caught:
        rig.forwarder.deliver(deliveries, lambda delivery, _outcome: settled.append(delivery))
    assert settled == []
    assert caught.value.hint
    rig.bring_back()
    assert set(_deliver(rig.forwarder, deliveries)) == {"1.2.1", "1.2.2"}


def test_an_instance_whose_file_rotted_is_unfit_and_the_others_go_on(rig: Rig, buffer: Buffer) -> None:
    deliveries = _queue(buffer, "1.2.1", "1.2.2", "1.2.3")
    path = buffer.spool.path(deliveries[1].sealed.instance_id)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    outcomes = _deliver(rig.forwarder, deliveries)
    assert isinstance(outcomes["1.2.2"], Unfit)
    assert set(rig.received()) == {"1.2.1", "1.2.3"}


def test_an_instance_whose_file_is_gone_is_unfit_and_the_others_go_on(rig: Rig, buffer: Buffer) -> None:
    deliveries = _queue(buffer, "1.2.1", "1.2.2")
    buffer.spool.path(deliveries[0].sealed.instance_id).unlink()
    outcomes = _deliver(rig.forwarder, deliveries)
    assert isinstance(outcomes["1.2.1"], Unfit)
    assert isinstance(outcomes["1.2.2"], Accepted)


def test_a_folder_never_overwrites_another_object_with_the_same_uid(tmp_path: Path, buffer: Buffer) -> None:
    (rig,) = _folder_rig(tmp_path, buffer.spool)
    _deliver(rig.forwarder, _queue(buffer, "1.2.1"))
    _deliver(rig.forwarder, _queue(buffer, "1.2.1", content=data_set("1.2.1", body=b"other" * 100)))
    assert len(list((tmp_path / "archive").rglob("*.dcm"))) == 2


def test_a_uid_with_path_characters_cannot_leave_the_folder(tmp_path: Path, buffer: Buffer) -> None:
    (rig,) = _folder_rig(tmp_path, buffer.spool)
    uid = "../../../evil"
    assert isinstance(_deliver(rig.forwarder, _queue(buffer, uid))[uid], Accepted)
    (written,) = (tmp_path / "archive").rglob("*.dcm")
    assert "evil" not in written.name
    assert not list(tmp_path.glob("evil*"))


def test_a_folder_shows_no_half_written_file_and_no_seal_of_ours(tmp_path: Path, buffer: Buffer) -> None:
    (rig,) = _folder_rig(tmp_path, buffer.spool)
    _deliver(rig.forwarder, _queue(buffer, "1.2.1"))
    (written,) = (path for path in (tmp_path / "archive").rglob("*") if path.is_file())
    assert written.read_bytes()[:128] == bytes(128)


def test_a_pacs_that_rejects_us_says_who_must_do_what(buffer: Buffer) -> None:
    picky = AE(ae_title="PACS")
    picky.add_supported_context(CT)
    picky.require_calling_aet = ["SOMEBODY"]
    server = picky.start_server(("127.0.0.1", 0), block=False)
    assert server is not None
    assert server.socket is not None
    try:
        port = server.socket.getsockname()[1]
        destination = DicomDestination(name="d", host="127.0.0.1", port=port, ae_title="PACS")
        with pytest.raises(DestinationDown, match="does not know our calling AE title") as caught:
            _deliver(CStoreForwarder(destination, buffer.spool), _queue(buffer, "1.2.1"))
        assert "let SKERRY call PACS" in caught.value.hint
    finally:
        server.shutdown()


def test_an_instance_on_which_the_pacs_breaks_off_is_tried_later_and_the_rest_is_given_back(
    tmp_path: Path, buffer: Buffer
) -> None:
    with StoreScp(tmp_path / "pacs", extra=["--abort-during"]) as pacs:
        destination = DicomDestination(name="d", host="127.0.0.1", port=pacs.port, ae_title="PACS")
        outcomes: dict[str, Outcome] = {}
        with pytest.raises(DestinationDown):
            CStoreForwarder(destination, buffer.spool).deliver(
                _queue(buffer, "1.2.1", "1.2.2"),
                lambda delivery, outcome: outcomes.update({delivery.sealed.sop_instance_uid: outcome}),
            )
    assert {uid: type(outcome) for uid, outcome in outcomes.items()} == {"1.2.1": TryLater}


def test_a_class_that_the_pacs_does_not_accept_is_refused_and_the_others_go_on(tmp_path: Path, buffer: Buffer) -> None:
    with StoreScp(tmp_path / "pacs", syntaxes="+xi") as pacs:  # implicit little endian only
        destination = DicomDestination(name="d", host="127.0.0.1", port=pacs.port, ae_title="PACS")
        good = take(buffer, "1.2.2", syntax="1.2.840.10008.1.2")
        bad = take(buffer, "1.2.1", syntax="1.2.840.10008.1.2.4.90")
        buffer.admit([routed(bad, "d"), routed(good, "d")])
        outcomes = _deliver(CStoreForwarder(destination, buffer.spool), buffer.claim("d", 10))
    refused = outcomes["1.2.1"]
    assert isinstance(refused, Refused)
    assert "JPEG 2000" in refused.reason
    assert isinstance(outcomes["1.2.2"], Accepted)


def test_more_kinds_than_one_association_can_name_are_sent_over_several(tmp_path: Path, buffer: Buffer) -> None:
    with StoreScp(tmp_path / "pacs") as pacs:
        destination = DicomDestination(name="d", host="127.0.0.1", port=pacs.port, ae_title="PACS")
        instances = [take(buffer, f"1.2.{n}", sop_class=f"1.2.3.4.{n}") for n in range(150)]
        buffer.admit([routed(one, "d") for one in instances])
        outcomes = _deliver(CStoreForwarder(destination, buffer.spool), buffer.claim("d", 200))
        assert {type(outcome) for outcome in outcomes.values()} == {Accepted}
        assert len(pacs.received()) == 150


def test_a_name_that_does_not_resolve_is_a_destination_that_is_down(buffer: Buffer) -> None:
    destination = DicomDestination(name="d", host="no-such-host.invalid", port=104, ae_title="PACS")
    with pytest.raises(DestinationDown, match=r"no-such-host\.invalid cannot be used"):
        _deliver(CStoreForwarder(destination, buffer.spool), _queue(buffer, "1.2.1"))


def test_nothing_that_answers_at_the_address_is_said(buffer: Buffer) -> None:
    port = free_port()
    destination = DicomDestination(name="d", host="127.0.0.1", port=port, ae_title="PACS")
    with pytest.raises(DestinationDown, match=f"127.0.0.1:{port}"):
        _deliver(CStoreForwarder(destination, buffer.spool), _queue(buffer, "1.2.1"))
