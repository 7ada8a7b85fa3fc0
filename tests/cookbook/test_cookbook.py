"""Every situation of docs/cookbook.md, through a real node to real receivers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from pynetdicom import AE

from edge.buffer.view import BufferView
from edge.errors import UnknownInstance
from edge.policy.document import check_policy
from tests.cookbook.reading import PARKED, REPLACED, Row, Situation, situations
from tests.cookbook.receivers import Receivers
from tests.edge_door import TunedEdge
from tests.edge_samples import CT
from tests.mpps import STEP, begun, ended, modality
from tests.real_programs import require

SITUATIONS = situations()
DONE, FOR_A_PERSON = ("delivered", "superseded"), ("parked", "quarantined")


def test_the_page_has_twenty_situations_with_a_table_each() -> None:
    assert len(SITUATIONS) >= 20
    assert all(situation.rows for situation in SITUATIONS)


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda one: one.title)
def test_the_policy_is_sound(situation: Situation) -> None:
    assert check_policy(situation.policy) == ()


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda one: one.title)
def test_what_the_page_says_comes_out(situation: Situation, tmp_path: Path) -> None:
    require("storescp", *(["Orthanc"] if "dicomweb" in situation.policy or "verify" in situation.policy else []))
    late = any(row.fate == REPLACED for row in situation.rows)
    away = {name for row in situation.rows for name in row.away}
    images = {str(number): _image(row, number) for number, row in enumerate(situation.rows, 1)}
    policy = tmp_path / "policy.yaml"
    groups = _groups(situation)
    verified = {one["name"] for one in yaml.safe_load(situation.policy)["destinations"] if "verify" in one}
    with ExitStack() as stack:
        receivers = Receivers(tmp_path, situation.policy, stack, away=away, late=late)
        policy.write_text(receivers.policy, encoding="utf-8")
        edge = stack.enter_context(TunedEdge(tmp_path, policy=policy, retry_cap_seconds=1, verify_after_seconds=0.5))
        for row, image in zip(situation.rows, images.values(), strict=True):
            _send(edge.dicom_port, row, image)
        _announce(edge.dicom_port, situation, list(images.values()))
        view = BufferView(edge.data_dir)
        sent = [image.SOPInstanceUID for image in images.values()]
        edge.wait(lambda: _taken(view, sent), "not all were taken", seconds=20)
        receivers.begin()
        edge.wait(lambda: all(_settled(view, uid) for uid in sent), "not all was settled", seconds=30)
        received = receivers.received()
        assert _places(received) == _expected(situation)
        for number, row in enumerate(situation.rows, 1):
            for arrival in row.arrivals:
                (there,) = (one for one in received[arrival.destination] if str(one.InstanceNumber) == str(number))
                _same(there, arrival.tags, images[str(number)])
                urgent = _priorities(view, sent[number - 1])
                assert urgent[groups.get(arrival.destination, arrival.destination)] == arrival.priority
            for one in _deliveries(view, sent[number - 1]):
                assert (one["destination"] in verified) == str(one["reason"]).startswith("verified by ")
            assert (row.fate == PARKED) == any(state in FOR_A_PERSON for state in _states(view, sent[number - 1]))


def _groups(situation: Situation) -> Mapping[str, str]:
    """The group that routes name, by its member."""
    destinations = yaml.safe_load(situation.policy)["destinations"]
    return {member: one["name"] for one in destinations for member in one.get("members", ())}


def _expected(situation: Situation) -> set[tuple[str, str]]:
    rows = enumerate(situation.rows, 1)
    return {(arrival.destination, str(number)) for number, row in rows for arrival in row.arrivals}


def _places(received: Mapping[str, list[Dataset]]) -> set[tuple[str, str]]:
    found = [(name, str(one.InstanceNumber)) for name, there in received.items() for one in there]
    assert len(found) == len(set(found)), "something arrived twice"
    return set(found)


def _same(there: Dataset, tags: Mapping[str, str], sent: Dataset) -> None:
    for keyword, value in tags.items():
        found = _text(there.get(keyword, ""))
        if value == "*":
            assert found
            assert found != _text(sent.get(keyword, "")), keyword
        else:
            assert found == value, keyword


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _priorities(view: BufferView, uid: str) -> dict[str, str]:
    return {one["destination"]: one["priority"] for one in _deliveries(view, uid)}


def _taken(view: BufferView, sent: Sequence[str]) -> bool:
    try:
        arrivals = [one for uid in set(sent) for one in view.trace(uid)]
    except UnknownInstance:
        return False
    return len(arrivals) == len(sent) and all(one["policy"] for one in arrivals)


def _settled(view: BufferView, uid: str) -> bool:
    return all(state in (*DONE, *FOR_A_PERSON) for state in _states(view, uid))


def _states(view: BufferView, uid: str) -> list[str]:
    return [str(one["state"]) for one in _deliveries(view, uid)]


def _deliveries(view: BufferView, uid: str) -> list[Mapping[str, Any]]:
    return [one for held in view.trace(uid) for one in held["deliveries"]]


def _image(row: Row, number: int) -> Dataset:
    """A small image with these tags; by its InstanceNumber it is known wherever it arrives."""
    image = Dataset()
    image.SOPClassUID, image.SOPInstanceUID = CT, generate_uid()
    image.StudyInstanceUID, image.SeriesInstanceUID, image.InstanceNumber = generate_uid(), generate_uid(), number
    image.PatientID, image.PatientName = "1", "A^B"
    for keyword, value in row.tags.items():
        setattr(image, keyword, value)
    image.private_block(0x0029, "SIEMENS CT VA0  COAD", create=True).add_new(1, "LO", "kept")
    image.private_block(0x0031, "SOMEBODY", create=True).add_new(1, "LO", "private")
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return image


def _announce(port: int, situation: Situation, images: Sequence[Dataset]) -> None:
    """Each sender that does so reports a step for each of its studies, naming all images of it."""
    steps: dict[tuple[str, str], dict[str, list[str]]] = {}
    for row, image in zip(situation.rows, images, strict=True):
        if row.announced:
            series = steps.setdefault((row.calling_ae_title, str(image.StudyInstanceUID)), {})
            series.setdefault(str(image.SeriesInstanceUID), []).append(str(image.SOPInstanceUID))
    for (calling, study), series in steps.items():
        with modality(port, calling=calling) as peer:
            step = generate_uid()
            assert peer.send_n_create(begun(study), STEP, step)[0].Status == 0x0000
            assert peer.send_n_set(ended(series), STEP, step)[0].Status == 0x0000


def _send(port: int, row: Row, image: Dataset) -> None:
    ae = AE(ae_title=row.calling_ae_title)
    ae.add_requested_context(image.SOPClassUID, ExplicitVRLittleEndian)
    peer = ae.associate("127.0.0.1", port, ae_title=row.called_ae_title)
    assert peer.is_established
    assert peer.send_c_store(image).Status == 0x0000
    peer.release()
