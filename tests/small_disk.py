"""A small file system of its own, which a test may fill to the last block."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

BYTES = 48 << 20
_MOUNTS = (
    ("ext4 in a file", "mkfs.ext4 -q -F -m 0 {image} && mount -o loop {image} {place}"),
    ("tmpfs", "mount -t tmpfs -o size={bytes} tmpfs {place}"),
)


@contextlib.contextmanager
def mounted(folder: Path, *, size: int = BYTES) -> Iterator[Path]:
    """A place in this folder with a file system of so many bytes; skipped where nothing can be mounted."""
    place, image = folder / "disk", folder / "image"
    place.mkdir()
    with image.open("wb") as stream:
        stream.truncate(size)
    said = []
    for _name, command in _MOUNTS:
        shell = command.format(image=image, place=place, bytes=size)
        done = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, timeout=60, check=False)
        said.append(done.stderr.strip())
        if done.returncode == 0:
            break
    else:
        message = f"no file system can be mounted here: {'; '.join(said)}"
        if os.environ.get("SKERRY_REQUIRE_ALL") == "1" and os.geteuid() == 0:
            pytest.fail(message)
        pytest.skip(message)
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], timeout=60, check=False)


def fill(place: Path, *, leave: int) -> Path:
    """A file that takes all but this many bytes, to the last block when it is 0."""
    filler = place / "filler"
    block = bytes(1 << 20)
    with filler.open("wb", buffering=0) as stream, contextlib.suppress(OSError):
        while (room := shutil.disk_usage(place).free - leave) > 0:
            stream.write(block[: max(min(room, len(block)), 1)])
        os.fsync(stream.fileno())
    return filler
