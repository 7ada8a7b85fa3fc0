"""DCMTK's `dcmsend` as a modality, with its own report of what it sent."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from provisioning.errors import CommandFailed
from provisioning.local.ports import LOOPBACK
from provisioning.local.program import Program, find_program
from provisioning.local.storescp import DEPUTY, PACKAGE, dcmtk_installed


@dataclass(frozen=True, slots=True, kw_only=True)
class SentFile:
    """One file in the modality's report."""

    path: Path
    sop_instance_uid: str
    status: str
    """`0x0000 (Success)`, another DIMSE status, or `<not sent>`."""

    @property
    def succeeded(self) -> bool:
        """Whether the peer answered success for it."""
        return self.status.startswith("0x0000")


@dataclass(frozen=True, slots=True, kw_only=True)
class SendReport:
    """What one run of the modality did."""

    files: tuple[SentFile, ...]
    returncode: int
    log: str

    @property
    def succeeded(self) -> tuple[SentFile, ...]:
        """The files for which the peer answered success."""
        return tuple(sent for sent in self.files if sent.succeeded)

    @property
    def failed(self) -> tuple[SentFile, ...]:
        """The files that DCMTK read but could not send, or that the peer did not take."""
        return tuple(sent for sent in self.files if not sent.succeeded)


class Sending:
    """A modality at work: started by the constructor, killed when the block is left early."""

    def __init__(
        self,
        files: Sequence[Path],
        *,
        port: int,
        called: str = "ANY-SCP",
        calling: str = "MODALITY",
        host: str = LOOPBACK,
        nagle: bool = False,
    ) -> None:
        """Start to send. `nagle` leaves Nagle's algorithm on, as many modalities do."""
        self._folder = tempfile.TemporaryDirectory(prefix="skerry-dcmsend-")
        folder = Path(self._folder.name)
        self._report = folder / "report.txt"
        if dcmtk_installed():
            # -nuc: odd UIDs are sent as they are; -nh: one bad file does not stop the others.
            argv = [find_program("dcmsend", package=PACKAGE), "-v", "-nh", "-nuc", "+crf", str(self._report)]
            argv += ["-to", "30", "-aet", calling, "-aec", called, host, str(port), *map(str, files)]
        else:
            argv = [*DEPUTY, "send", "--report", str(self._report), "--host", host, "--port", str(port)]
            argv += ["--calling", calling, "--called", called, *map(str, files)]
        self._program = Program(name="dcmsend", argv=argv, log_dir=folder, env={} if nagle else {"TCP_NODELAY": "1"})
        self._program.start()

    def report(self, *, seconds: float = 300.0) -> SendReport:
        """Wait for the end and tell what was sent. A file that DCMTK cannot read at all is not in it.

        Raises:
            CommandFailed: no report was written, so nothing is known; the peer did not answer, say.
            ProgramFailed: it still sends when the time is up.
        """
        returncode = self._program.wait_end(seconds=seconds)
        log = self._program.log_text() + self._program.stdout_path.read_text("utf-8", "replace")
        if not self._report.exists():
            end = " / ".join(log.strip().splitlines()[-3:])
            raise CommandFailed(f"dcmsend sent nothing: {end}", returncode=returncode, stderr=log)
        files = parse_report(self._report.read_text("utf-8", "replace"))
        return SendReport(files=files, returncode=returncode, log=log)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._program.kill()
        self._folder.cleanup()


def send(
    files: Sequence[Path], *, port: int, called: str = "ANY-SCP", calling: str = "MODALITY", seconds: float = 300.0
) -> SendReport:
    """Send the files in one run, and tell what was sent. Raises what `Sending` raises."""
    with Sending(files, port=port, called=called, calling=calling) as sending:
        return sending.report(seconds=seconds)


def parse_report(text: str) -> tuple[SentFile, ...]:
    """The files named in a report of `dcmsend +crf`."""
    sent = []
    for block in re.split(r"^Number {2,}: \d+$", text, flags=re.MULTILINE)[1:]:
        fields = dict(re.findall(r"^(Filename|SOP Instance|DIMSE Status) *: (.*)$", block, flags=re.MULTILINE))
        sent.append(
            SentFile(
                path=Path(fields["Filename"]),
                sop_instance_uid=fields.get("SOP Instance", ""),
                status=fields.get("DIMSE Status", "<not sent>"),
            )
        )
    return tuple(sent)
