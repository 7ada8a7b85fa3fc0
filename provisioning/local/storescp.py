"""DCMTK's `storescp` as a PACS that keeps every data set exactly as it arrived."""

from __future__ import annotations

import sys
from collections.abc import Container, Sequence
from pathlib import Path

from provisioning.local.dataset import NotPart10, Part10, read_part10
from provisioning.local.ports import LOOPBACK, free_port
from provisioning.local.program import Program, find_program, is_installed

PACKAGE = "dcmtk"
DEPUTY = (sys.executable, "-m", "provisioning.local.deputy")


def dcmtk_installed() -> bool:
    """Whether modality and PACS are DCMTK's; else our deputies stand in for them."""
    return is_installed("storescp") and is_installed("dcmsend")


class StoreScp(Program):
    """A bit-preserving sink for C-STORE that accepts every SOP class and every syntax that DCMTK knows."""

    def __init__(
        self,
        folder: Path,
        *,
        ae_title: str = "PACS",
        port: int | None = None,
        name: str = "storescp",
        log_dir: Path | None = None,
        syntaxes: str = "+xa",
        extra: Sequence[str] = (),
    ) -> None:
        """`syntaxes` is DCMTK's option for what it accepts, by default all of them, explicit little endian first.

        `extra` takes faults for tests: `--refuse`, `--abort-after`, `--sleep-during 2` …
        """
        self.folder = folder
        self.ae_title = ae_title
        self.port = port or free_port()
        folder.mkdir(parents=True, exist_ok=True)
        if dcmtk_installed():
            argv = [find_program("storescp", package=PACKAGE), "-v", "-aet", ae_title, "-od", str(folder)]
            # -pm accepts unknown SOP classes, +B writes the bytes as they arrive.
            argv += ["-pm", syntaxes, "+B", "--fork", *extra, str(self.port)]
        else:
            argv = [*DEPUTY, "sink", "--port", str(self.port), "--ae-title", ae_title, "--folder", str(folder)]
        super().__init__(name=name, argv=argv, log_dir=log_dir or folder.parent / "log", env={"TCP_NODELAY": "1"})

    @property
    def address(self) -> str:
        """`AETITLE@HOST:PORT`, as `skerry-edge run --to` takes it."""
        return f"{self.ae_title}@{LOOPBACK}:{self.port}"

    def start(self) -> None:
        """Start and return once it accepts associations."""
        super().start()
        self.wait_port(self.port)

    def received(self, *, known: Container[str] = frozenset()) -> dict[str, Part10]:
        """What has arrived, by SOP Instance UID of the C-STORE request, but for the UIDs that are known already.

        The newest one may still be growing.
        """
        return received_in(self.folder, known=known)


def received_in(folder: Path, *, known: Container[str] = frozenset()) -> dict[str, Part10]:
    """The objects in a sink's folder, by SOP Instance UID."""
    parts: dict[str, Part10] = {}
    for path in folder.iterdir():
        # storescp names a file "<two letters of the kind>.<SOP Instance UID>".
        if not path.is_file() or path.name.partition(".")[2] in known:
            continue
        try:
            part = read_part10(path)
        except (NotPart10, FileNotFoundError):
            continue  # being written at this moment
        if part.sop_instance_uid:
            parts[part.sop_instance_uid] = part
    return parts
