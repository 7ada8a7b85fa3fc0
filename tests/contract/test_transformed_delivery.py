"""Transforms on the way to real destinations: what arrives, under which UID, and that no original slips through."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from edge.buffer.hand import Hand
from edge.buffer.spool import Spool
from edge.buffer.states import DeliveryEvent
from edge.buffer.store import Buffer
from edge.data_dir import PSEUDONYM_KEY
from edge.durable import write_durably
from edge.forward.base import Accepted, Forwarder, Outcome, Unfit
from edge.forward.credentials import Credentials
from edge.forward.cstore import CStoreForwarder
from edge.forward.dicomweb import DicomWebForwarder
from edge.forward.folder import FolderForwarder
from edge.forward.rendition import open_rendition
from edge.forward.s3 import S3Forwarder
from edge.model import DicomDestination, DicomWebDestination, FolderDestination, S3Destination
from edge.steps import Step, Transform
from edge.transform.apply import coding_of
from provisioning.local.dataset import read_part10
from provisioning.local.storescp import StoreScp
from tests.edge_samples import EXPLICIT, data_set, routed, take
from tests.object_store import BUCKET, KEYS, ObjectStore
from tests.orthanc import PASSWORD, PLUGIN, USER, Orthanc
from tests.real_programs import require, require_file
from tests.transforming import read, step, written

UID = "1.2.3.4"
DEFLATED = "1.2.840.10008.1.2.1.99"
Make = Callable[[tuple[Transform, ...]], Forwarder]


@dataclass(frozen=True, kw_only=True)
class Rig:
    """A kind of destination, and what it has got."""

    forwarder: Make
    received: Callable[[], dict[str, bytes]]


@pytest.fixture
def buffer(tmp_path: Path) -> Iterator[Buffer]:
    opened = Buffer(tmp_path / "node")
    (tmp_path / "node" / PSEUDONYM_KEY).write_bytes(b"k" * 32)
    yield opened
    opened.close()


def _folder(tmp_path: Path, spool: Spool) -> Iterator[Rig]:
    folder = tmp_path / "archive"
    folder.mkdir()

    def received() -> dict[str, bytes]:
        parts = [read_part10(path) for path in folder.rglob("*.dcm")]
        return {part.sop_instance_uid: part.data_set for part in parts}

    def forwarder(transforms: tuple[Transform, ...]) -> Forwarder:
        return FolderForwarder(FolderDestination(name="d", path=str(folder), transforms=transforms), spool)

    yield Rig(forwarder=forwarder, received=received)


def _pacs(tmp_path: Path, spool: Spool) -> Iterator[Rig]:
    with StoreScp(tmp_path / "pacs") as pacs:

        def forwarder(transforms: tuple[Transform, ...]) -> Forwarder:
            port, title = pacs.port, pacs.ae_title
            peer = DicomDestination(name="d", host="127.0.0.1", port=port, ae_title=title, transforms=transforms)
            return CStoreForwarder(peer, spool)

        yield Rig(forwarder=forwarder, received=lambda: {uid: part.data_set for uid, part in pacs.received().items()})


def _credentials(tmp_path: Path, **content: str) -> Credentials:
    folder = tmp_path / "node" / "credentials"
    folder.mkdir(mode=0o700)
    write_durably(folder / "peer", json.dumps(content).encode(), mode=0o600)
    return Credentials(tmp_path / "node")


def _service(tmp_path: Path, spool: Spool) -> Iterator[Rig]:
    require("Orthanc")
    require_file(PLUGIN, package="orthanc-dicomweb")
    with Orthanc(tmp_path / "orthanc") as service:
        credentials = _credentials(tmp_path, username=USER, password=PASSWORD)

        def forwarder(transforms: tuple[Transform, ...]) -> Forwarder:
            peer = DicomWebDestination(name="d", url=service.url, credentials="peer", transforms=transforms)
            return DicomWebForwarder(peer, spool, credentials)

        yield Rig(forwarder=forwarder, received=service.received)


def _bucket(tmp_path: Path, spool: Spool) -> Iterator[Rig]:
    with ObjectStore(tmp_path / "moto") as store:
        credentials = _credentials(tmp_path, **KEYS)

        def forwarder(transforms: tuple[Transform, ...]) -> Forwarder:
            peer = S3Destination(name="d", bucket=BUCKET, endpoint=store.url, credentials="peer", transforms=transforms)
            return S3Forwarder(peer, spool, credentials)

        yield Rig(forwarder=forwarder, received=store.received)


_RIGS = {"dicom": _pacs, "folder": _folder, "dicomweb": _service, "s3": _bucket}


@pytest.fixture(params=list(_RIGS))
def rig(request: pytest.FixtureRequest, tmp_path: Path, buffer: Buffer) -> Iterator[Rig]:
    yield from _RIGS[request.param](tmp_path, buffer.spool)


def _transforms(*steps: Step) -> tuple[Transform, ...]:
    return (Transform(name="site-b", steps=steps),)


def _deliver(
    rig: Rig, buffer: Buffer, transforms: tuple[Transform, ...], *contents: bytes, **kinds: str
) -> list[Outcome]:
    buffer.admit([routed(take(buffer, f"{UID}{n or ''}", one, **kinds), "d") for n, one in enumerate(contents)])
    outcomes: list[Outcome] = []
    forwarder = rig.forwarder(transforms)
    forwarder.deliver(buffer.claim("d", 10), lambda _delivery, outcome: outcomes.append(outcome))
    forwarder.close()
    return outcomes


def test_what_arrives_is_transformed_and_the_stored_original_is_not(rig: Rig, buffer: Buffer) -> None:
    (outcome,) = _deliver(rig, buffer, _transforms(step("prefix", "PatientID", value="B-")), data_set())
    assert isinstance(outcome, Accepted)
    (got,) = rig.received().values()
    assert got == data_set().replace(b"LO\x02\x00P1", b"LO\x04\x00B-P1")
    (stored,) = buffer.spool.instance_ids()
    assert data_set() in buffer.spool.path(stored).read_bytes()


@pytest.mark.parametrize("transforms", [(), _transforms(step("prefix", "PatientID", value="B-"))])
def test_what_a_person_mended_arrives_mended_before_anything_else_is_changed(
    rig: Rig, buffer: Buffer, transforms: tuple[Transform, ...]
) -> None:
    buffer.admit([routed(take(buffer, UID, data_set()), "d")])
    (claimed,) = buffer.claim("d", 1)
    buffer.settle(claimed.delivery_id, DeliveryEvent.UNFIT)
    Hand(buffer.spool.data_dir).fix(UID, *_transforms(step("set", "PatientID", value="Q1")))
    outcomes: list[Outcome] = []
    forwarder = rig.forwarder(transforms)
    forwarder.deliver(buffer.claim("d", 1), lambda _delivery, outcome: outcomes.append(outcome))
    forwarder.close()
    assert [type(one) for one in outcomes] == [Accepted]
    (got,) = rig.received().values()
    assert read(got, coding_of(EXPLICIT)).PatientID == ("B-Q1" if transforms else "Q1")


def test_a_new_sop_instance_uid_is_the_one_it_is_sent_under(rig: Rig, buffer: Buffer) -> None:
    (outcome,) = _deliver(rig, buffer, _transforms(step("hash", "SOPInstanceUID")), data_set())
    assert isinstance(outcome, Accepted)
    ((uid, got),) = rig.received().items()
    assert uid.startswith("2.25.")
    assert read(got, coding_of(EXPLICIT)).SOPInstanceUID == uid


def test_a_folder_is_named_by_the_uids_that_are_sent(tmp_path: Path, buffer: Buffer) -> None:
    archive = tmp_path / "archive"
    archive.mkdir()
    folder = FolderForwarder(
        FolderDestination(
            name="d",
            path=str(archive),
            transforms=_transforms(*(step("hash", f"{one}InstanceUID") for one in ("Study", "Series", "SOP"))),
        ),
        buffer.spool,
    )
    _deliver(Rig(forwarder=lambda _none: folder, received=dict), buffer, (), data_set())
    (path,) = archive.rglob("*.dcm")
    sent = read(read_part10(path).data_set, coding_of(EXPLICIT))
    names = [part.removesuffix(".dcm") for part in path.relative_to(archive).parts]
    assert names == [sent.StudyInstanceUID, sent.SeriesInstanceUID, sent.SOPInstanceUID]
    assert all(name.startswith("2.25.") for name in names)


def test_a_step_that_fails_refuses_the_delivery_and_the_original_is_never_sent(rig: Rig, buffer: Buffer) -> None:
    bad = data_set(f"{UID}1").replace(b"P1", b"P2")
    mapping = step("map", "PatientID", table=(("P1", "Q1"),))
    outcomes = _deliver(rig, buffer, _transforms(mapping), data_set(), bad)
    refused = [one for one in outcomes if isinstance(one, Unfit)]
    assert [one.reason for one in refused] == [
        "transform `site-b`, step 1 (`map` of PatientID): PatientID: its value is not in the table"
    ]
    (got,) = rig.received().values()
    assert b"Q1" in got


@pytest.mark.parametrize("broken", ["header", "key", "too-long"])
def test_whatever_goes_wrong_with_a_transform_nothing_arrives(
    rig: Rig, buffer: Buffer, tmp_path: Path, broken: str
) -> None:
    content, steps = data_set(), (step("hash", "PatientID"),)
    if broken == "header":
        content = content[:40] + b"\xff" * 30 + content[40:]
    elif broken == "key":
        (tmp_path / "node" / PSEUDONYM_KEY).unlink()
    else:
        steps = (step("prefix", "PatientID", value="x" * 64),)
    (outcome,) = _deliver(rig, buffer, _transforms(*steps), content)
    assert isinstance(outcome, Unfit)
    assert "transform `site-b`" in outcome.reason
    assert rig.received() == {}


def test_a_large_object_passes_with_its_pixels_untouched(rig: Rig, buffer: Buffer) -> None:
    pixels = os.urandom(5_000_000)
    (outcome,) = _deliver(rig, buffer, _transforms(step("set", "StudyID", value="7")), data_set(body=pixels))
    assert isinstance(outcome, Accepted)
    (got,) = rig.received().values()
    assert read(got, coding_of(EXPLICIT)).StudyID == "7"
    assert got.endswith(pixels)


@pytest.mark.parametrize("size", [1000, 5_000_000])
def test_a_rotten_file_is_never_complete_at_the_destination(rig: Rig, buffer: Buffer, size: int) -> None:
    buffer.admit([routed(take(buffer, UID, data_set(body=bytes(size))), "d")])
    (delivery,) = buffer.claim("d", 10)
    path = buffer.spool.path(delivery.sealed.instance_id)
    content = bytearray(path.read_bytes())
    content[delivery.sealed.data_set_offset + delivery.sealed.data_set_length - 1] ^= 1
    path.write_bytes(content)
    outcomes: list[Outcome] = []
    forwarder = rig.forwarder(_transforms(step("set", "StudyID", value="7")))
    forwarder.deliver([delivery], lambda _delivery, outcome: outcomes.append(outcome))
    assert [type(one) for one in outcomes] == [Unfit]
    # A receiver may keep what came before the end, but never had the end.
    assert all(len(got) < size for got in rig.received().values())


def test_a_second_try_gives_the_same_bytes_and_is_taken_for_the_same(tmp_path: Path, buffer: Buffer) -> None:
    buffer.admit([routed(take(buffer, UID), "d")])
    deliveries = buffer.claim("d", 10)
    transforms = _transforms(step("hash", "PatientID"), step("charset"))
    (archive := tmp_path / "archive").mkdir()
    folder = FolderForwarder(FolderDestination(name="d", path=str(archive), transforms=transforms), buffer.spool)
    outcomes: list[Outcome] = []
    for _ in range(2):
        folder.deliver(deliveries, lambda _delivery, outcome: outcomes.append(outcome))
    assert outcomes == [Accepted(), Accepted(note="already there")]
    assert len(list(archive.rglob("*.dcm"))) == 1


@pytest.mark.parametrize("size", [0, 3_000_000])
def test_a_deflated_data_set_is_deflated_again(buffer: Buffer, size: int) -> None:
    plain = data_set(body=bytes(size) + os.urandom(100))
    deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = deflate.compress(plain) + deflate.flush()
    buffer.admit([routed(take(buffer, UID, packed + bytes(len(packed) % 2), syntax=DEFLATED), "d")])
    (delivery,) = buffer.claim("d", 1)
    sent = []
    for _ in range(2):
        with open_rendition(buffer.spool, delivery, _transforms(step("prefix", "PatientID", value="B-"))) as rendition:
            sent.append(rendition.read())
            assert len(sent[0]) == rendition.length
    assert sent[0] == sent[1]
    assert len(sent[0]) % 2 == 0
    inflated = zlib.decompressobj(-zlib.MAX_WBITS).decompress(sent[0])
    assert inflated == plain.replace(b"LO\x02\x00P1", b"LO\x04\x00B-P1")


def test_a_damaged_deflated_data_set_is_unfit(rig: Rig, buffer: Buffer) -> None:
    (outcome,) = _deliver(rig, buffer, _transforms(step("charset")), b"\xff" * 100, syntax=DEFLATED)
    assert isinstance(outcome, Unfit)
    assert outcome.reason.startswith("transform `site-b`: the deflated data set")
    assert rig.received() == {}


def test_texts_in_another_character_set_arrive_as_utf_8(rig: Rig, buffer: Buffer) -> None:
    one = Dataset()
    one.SpecificCharacterSet, one.SOPClassUID, one.SOPInstanceUID = "ISO_IR 100", "1.2.840.10008.5.1.4.1.1.2", UID
    one.PatientName, one.PatientID = "Müller^Jörg", "P1"
    one.StudyInstanceUID, one.SeriesInstanceUID = "1.2.3", "1.2.9.1"
    one.OtherPatientIDs = ["Ä", "Ö"]
    content = written(one, coding_of(EXPLICIT))
    _deliver(rig, buffer, _transforms(step("charset"), step("set", "InstitutionName", value="Łódź")), content)
    (got,) = (read(got, coding_of(EXPLICIT)) for got in rig.received().values())
    assert (str(got.PatientName), list(got.OtherPatientIDs), got.InstitutionName) == ("Müller^Jörg", ["Ä", "Ö"], "Łódź")
