"""A real receiver for each destination of a policy, and the policy with their addresses."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path
from typing import Any

import yaml
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.uid import UID

from edge.durable import write_durably
from provisioning.local.dataset import Part10, read_part10
from provisioning.local.storescp import StoreScp
from tests.object_store import BUCKET, KEYS, ObjectStore
from tests.orthanc import PASSWORD, USER, Orthanc

Received = Callable[[], Iterable[Dataset]]


class Receivers:
    """Started from a policy's text; `policy` is that text with the receivers' addresses."""

    def __init__(self, folder: Path, text: str, stack: ExitStack, *, away: Collection[str], late: bool) -> None:
        """Those that are `away` are never started; `late` ones take C-STORE from `begin` on."""
        self._folder, self._stack, self._away = folder, stack, away
        self._waiting: list[StoreScp] = []
        self._late = late
        self._secrets = folder / "node" / "credentials"
        kinds = {"dicom": self._dicom, "folder": self._shelf, "s3": self._s3, "dicomweb": self._dicomweb}
        document = yaml.safe_load(text)
        plain = [one for one in document["destinations"] if one["kind"] in kinds]
        self._received: dict[str, Received] = {one["name"]: kinds[one["kind"]](one) for one in plain}
        self.policy = yaml.safe_dump(document, sort_keys=False)

    def begin(self) -> None:
        """Start those that came late."""
        while self._waiting:
            self._stack.enter_context(self._waiting.pop())

    def received(self) -> Mapping[str, list[Dataset]]:
        """What each destination has, by its name."""
        return {name: list(received()) for name, received in self._received.items()}

    def _dicom(self, one: dict[str, Any]) -> Received:
        if "verify" in one:
            service = self._stack.enter_context(Orthanc(self._folder / one["name"], DicomAlwaysAllowFind=True))
            one["host"], one["port"] = "127.0.0.1", service.dicom_port
            return lambda: _held_by(service)
        sink = StoreScp(self._folder / one["name"], ae_title=one["ae_title"], name=one["name"])
        one["host"], one["port"] = "127.0.0.1", sink.port
        if one["name"] in self._away:
            return lambda: ()
        self._waiting.append(sink)
        if not self._late:
            self.begin()
        return lambda: map(_read, sink.received().values())

    def _shelf(self, one: dict[str, Any]) -> Received:
        path = self._folder / one["name"]
        path.mkdir()
        one["path"] = str(path)
        return lambda: [_read(read_part10(file)) for file in path.rglob("*.dcm")]

    def _s3(self, one: dict[str, Any]) -> Received:
        store = self._stack.enter_context(ObjectStore(self._folder / one["name"]))
        one.update(endpoint=store.url, bucket=BUCKET, credentials=self._secret(one["name"], KEYS))
        return lambda: [dcmread(BytesIO(content)) for content in store.objects().values()]

    def _dicomweb(self, one: dict[str, Any]) -> Received:
        service = self._stack.enter_context(Orthanc(self._folder / one["name"]))
        secret = self._secret(one["name"], {"username": USER, "password": PASSWORD})
        one.update(url=service.url, credentials=secret)
        return lambda: _held_by(service)

    def _secret(self, name: str, content: Mapping[str, str]) -> str:
        self._secrets.mkdir(parents=True, exist_ok=True)
        write_durably(self._secrets / name, json.dumps(content).encode(), mode=0o600)
        return name


def _held_by(service: Orthanc) -> list[Dataset]:
    return [read_dataset(BytesIO(content), False, True) for content in service.received().values()]


def _read(part: Part10) -> Dataset:
    syntax = UID(part.transfer_syntax_uid)
    return read_dataset(BytesIO(part.data_set), syntax.is_implicit_VR, syntax.is_little_endian)
