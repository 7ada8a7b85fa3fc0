"""One file that holds a control plane: `manifest.json`, the `ca` folder, the database. Written whole or not at all."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

from control.errors import SettingsError

MANIFEST = "manifest.json"
FORMAT = 1
KEY_FILES = ("ca/ca-key.pem", "ca/ca.pem", "ca/policy-key.pem")
SQLITE, DUMP = "control.db", "postgresql.dump"
KNOWN = frozenset({*KEY_FILES, SQLITE, DUMP})
"""Nothing else is ever taken out of an archive: a name in it is hostile until it is one of these."""
PIECE = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What an archive holds."""

    format: int
    created_at: str
    version: str
    mesh: str
    files: Mapping[str, str]
    """Name -> SHA-256, hex."""

    @property
    def holds_database(self) -> bool:
        """Whether sites, nodes and what they told are in it."""
        return SQLITE in self.files or DUMP in self.files


def write_archive(out: Path, files: Mapping[str, Path], *, created_at: str, version: str, mesh: str) -> Manifest:
    """Put these files into `out`, readable by this account alone; nothing of that name is left when it fails.

    Raises:
        SettingsError: there is a file already, or it cannot be written.
    """
    manifest = Manifest(
        format=FORMAT,
        created_at=created_at,
        version=version,
        mesh=mesh,
        files={name: _digest(path) for name, path in files.items()},
    )
    aside = out.with_name(f".{out.name}.new")
    try:
        if out.exists():
            raise SettingsError(f"{out} is there already.", hint="Choose another name; no backup is overwritten.")
        aside.unlink(missing_ok=True)
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            with tarfile.open(fileobj=stream, mode="w:gz", compresslevel=6) as archive:
                _add(archive, MANIFEST, json.dumps(asdict(manifest), indent=2).encode())
                for name, path in files.items():
                    _add_file(archive, name, path)
            stream.flush()
            os.fsync(stream.fileno())
        aside.rename(out)
        _sync(out.parent)
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise SettingsError(f"{out} cannot be written: {error.strerror}.") from None
    return manifest


def check_archive(path: Path) -> Manifest:
    """What an archive holds, once every byte of it was found to be what it was.

    Raises:
        SettingsError: it is damaged, not one of ours, or of a newer version.
    """
    with _opened(path) as archive:
        manifest = _manifest(archive, path)
        for name, digest in manifest.files.items():
            if _digest_of(_member(archive, name, path)) != digest:
                raise SettingsError(f"{path} is damaged: {name} is not what was written.")
    return manifest


def take_out(path: Path, name: str, to: Path, *, mode: int = 0o600) -> None:
    """Write one file of a checked archive.

    Raises:
        SettingsError: it is not in there, or cannot be written.
    """
    try:
        to.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with _opened(path) as archive, os.fdopen(descriptor, "wb") as stream:
            source = _member(archive, name, path)
            while piece := source.read(PIECE):
                stream.write(piece)
            stream.flush()
            os.fsync(stream.fileno())
        _sync(to.parent)
    except OSError as error:
        raise SettingsError(f"{to} cannot be written: {error.strerror}.") from None


@contextmanager
def _opened(path: Path) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(path, mode="r:gz") as archive:
            yield archive
    except (tarfile.TarError, EOFError, OSError) as error:
        raise SettingsError(f"{path} cannot be read as a backup ({type(error).__name__}).") from None


def _manifest(archive: tarfile.TarFile, path: Path) -> Manifest:
    try:
        values = json.loads(_member(archive, MANIFEST, path).read(1 << 16))
        manifest = Manifest(**values)
        known = all(isinstance(digest, str) for digest in manifest.files.values()) and manifest.files.keys() <= KNOWN
    except (ValueError, TypeError, AttributeError):
        raise SettingsError(f"{path} is no backup of a control plane.") from None
    if manifest.format != FORMAT or not known:
        raise SettingsError(f"{path} was made by another version.", hint=f"Use skerry-control {manifest.version}.")
    return manifest


def _member(archive: tarfile.TarFile, name: str, path: Path) -> BinaryIO | io.BufferedReader:
    try:
        found = archive.extractfile(name)
    except KeyError:
        found = None
    if found is None:
        raise SettingsError(f"{path} has no {name}.")
    return found  # type: ignore[return-value]


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), 0o600
    archive.addfile(entry, io.BytesIO(content))


def _add_file(archive: tarfile.TarFile, name: str, path: Path) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = path.stat().st_size, 0o600
    with path.open("rb") as stream:
        archive.addfile(entry, stream)


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return _digest_of(stream)


def _digest_of(stream: BinaryIO | io.BufferedReader) -> str:
    found = hashlib.sha256()
    while piece := stream.read(PIECE):
        found.update(piece)
    return found.hexdigest()


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
