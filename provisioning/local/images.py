"""Real DICOM files for a modality to send: those that pydicom ships."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pydicom
import pydicom.data
from pydicom.errors import InvalidDicomError
from pydicom.uid import MediaStorageDirectoryStorage, generate_uid

from provisioning.local.dataset import Part10
from provisioning.local.dcmsend import send
from provisioning.local.storescp import StoreScp, dcmtk_installed

_NEGOTIATIONS = ("+xa", "+xi", "+xb")
"""Sinks that take everything and prefer explicit little endian, take implicit only, prefer big endian."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A file that is not sent, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """A file to send, with what goes over the wire when DCMTK sends it."""

    path: Path
    sop_instance_uid: str
    on_the_wire: Mapping[str, str]
    """SHA-256 of the data set in each transfer syntax that a receiver can make DCMTK choose for it."""

    def arrived_whole_as(self, part: Part10) -> bool:
        """Whether what a receiver holds is, byte for byte, what DCMTK sends in that transfer syntax."""
        return self.on_the_wire.get(part.transfer_syntax_uid) == part.digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Images of which each has a SOP Instance UID of its own."""

    images: tuple[Image, ...]
    left_out: tuple[LeftOut, ...]


def shipped_files() -> tuple[Path, ...]:
    """Every file in pydicom's test data, DICOM or not."""
    data = Path(pydicom.data.__file__).parent
    folders = (data / "test_files", data / "charset_files")
    return tuple(sorted(path for folder in folders for path in folder.rglob("*") if path.is_file()))


def prepare(files: Iterable[Path], folder: Path, *, fresh: bool) -> Batch:
    """Copy the files, make their SOP Instance UIDs distinct, and learn what DCMTK puts on the wire for each.

    A file whose UID is its own is copied as it is, unless `fresh` asks for new UIDs for all. `dcmsend` decodes and
    encodes what it sends (it drops padding and group lengths), so the file on disk does not tell which bytes arrive at
    a receiver. Plain bit-preserving sinks do: whatever comes out of a mesh must equal what came out of one of those.
    """
    folder.mkdir(parents=True)
    left_out: list[LeftOut] = []
    seen: set[str] = set()
    copies: list[Path] = []
    for number, path in enumerate(files):
        copy = folder / f"{number:03d}-{path.name}"
        reason = _copy(path, copy, seen, fresh=fresh)
        if reason:
            left_out.append(LeftOut(name=path.name, reason=reason))
        else:
            copies.append(copy)
    # Without DCMTK a file has one encoding on the wire: its own.
    options = _NEGOTIATIONS if dcmtk_installed() else _NEGOTIATIONS[:1]
    images, unsent = _match(copies, [_reference(copies, folder, option) for option in options])
    return Batch(images=images, left_out=(*left_out, *unsent))


def _reference(copies: Sequence[Path], folder: Path, option: str) -> Mapping[Path, Part10]:
    """What a plain sink received for each file."""
    with StoreScp(folder / f"as{option}", name=f"reference{option}", syntaxes=option, log_dir=folder / "log") as sink:
        report = send(copies, port=sink.port, called=sink.ae_title)
        arrived = sink.received()
    uids = {sent.path: sent.sop_instance_uid for sent in report.succeeded}
    return {path: arrived[uid] for path, uid in uids.items() if uid in arrived}


def _match(
    copies: Iterable[Path], references: Sequence[Mapping[Path, Part10]]
) -> tuple[tuple[Image, ...], tuple[LeftOut, ...]]:
    images: list[Image] = []
    unsent: list[LeftOut] = []
    for copy in copies:
        parts = [reference[copy] for reference in references if copy in reference]
        if copy not in references[0]:
            unsent.append(LeftOut(name=copy.name[4:], reason="the modality cannot send it"))
            continue
        on_the_wire = {part.transfer_syntax_uid: part.digest for part in parts}
        images.append(Image(path=copy, sop_instance_uid=parts[0].sop_instance_uid, on_the_wire=on_the_wire))
    return tuple(images), tuple(unsent)


def _copy(path: Path, copy: Path, seen: set[str], *, fresh: bool) -> str:
    """Write the copy and remember its UID, or say why not."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # odd values are the point of many of these files
        try:
            ds = pydicom.dcmread(path)
            known = str(ds.file_meta.get("MediaStorageSOPInstanceUID", ""))
            if ds.file_meta.get("MediaStorageSOPClassUID") == MediaStorageDirectoryStorage:
                return "a media directory is never sent"
            uid = ds.SOPInstanceUID
            if fresh or uid in seen or uid != known:
                uid = generate_uid()
                ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = uid
                ds.save_as(copy, enforce_file_format=False)
            else:
                shutil.copyfile(path, copy)
        except InvalidDicomError:
            return "no DICOM Part 10 file"
        except AttributeError:
            return "no SOP Instance UID"
        except Exception as problem:
            copy.unlink(missing_ok=True)
            return f"pydicom cannot rewrite it ({type(problem).__name__})"
    seen.add(uid)
    return ""
