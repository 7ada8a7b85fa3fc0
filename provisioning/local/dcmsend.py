"""DCMTK's `dcmsend` as a modality, with its own report of what it sent."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from provisioning.errors import CommandFailed
from provisioning.local.ports import LOOPBACK
from provisioning.local.program import find_program

PACKAGE = "dcmtk"


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


def send(
    files: Sequence[Path],
    *,
    port: int,
    called: str = "ANY-SCP",
    calling: str = "MODALITY",
    host: str = LOOPBACK,
    nagle: bool = False,
    seconds: float = 300.0,
) -> SendReport:
    """Send the files in one run and read the report. A file that DCMTK cannot read at all is not in it.

    `nagle` leaves Nagle's algorithm on, as many modalities do.

    Raises:
        ProgramMissing: DCMTK is not installed.
        CommandFailed: no report was written, so nothing is known; the peer did not answer, say.
    """
    program = find_program("dcmsend", package=PACKAGE)
    env = dict(os.environ) if nagle else {**os.environ, "TCP_NODELAY": "1"}
    with tempfile.TemporaryDirectory(prefix="skerry-dcmsend-") as folder:
        report = Path(folder) / "report.txt"
        # -nuc: odd UIDs are sent as they are; -nh: one bad file does not stop the others.
        argv = [program, "-v", "-nh", "-nuc", "+crf", str(report), "-to", "30", "-aet", calling, "-aec", called]
        argv += [host, str(port), *map(str, files)]
        try:
            done = subprocess.run(
                argv, capture_output=True, text=True, errors="replace", timeout=seconds, env=env, check=False
            )
        except subprocess.TimeoutExpired:
            raise CommandFailed(f"dcmsend did not end within {seconds:g} s", returncode=-1, stderr="") from None
        log = done.stderr + done.stdout
        if not report.exists():
            end = " / ".join(log.strip().splitlines()[-3:])
            raise CommandFailed(f"dcmsend sent nothing: {end}", returncode=done.returncode, stderr=log)
        return SendReport(files=parse_report(report.read_text("utf-8", "replace")), returncode=done.returncode, log=log)


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
