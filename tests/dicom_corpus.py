"""The shared corpus of real and malformed DICOM files, and the data set inside a file as a receiver would get it."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest

CORPUS = Path(__file__).resolve().parents[2] / "shared" / "corpus"


def corpus_files(part: str) -> list[Path]:
    """Every file of `dev` or `fuzz`. Without the corpus the test skips, or fails when everything is required."""
    files = sorted(p for p in (CORPUS / part).rglob("*") if p.is_file())
    if not files:
        message = f"the corpus is absent: expected files in ../shared/corpus/{part} beside the repository"
        if os.environ.get("SKERRY_REQUIRE_ALL") == "1":
            pytest.fail(message)
        pytest.skip(message)
    return files


def split_part10(content: bytes) -> tuple[str, bytes]:
    """Transfer syntax UID and data set of a file. What has no file meta counts as one bare data set."""
    offset = 132 if content[128:132] == b"DICM" else 0
    transfer_syntax = ""
    while content[offset : offset + 2] == b"\x02\x00" and len(content) >= offset + 12:
        element, vr = struct.unpack_from("<H2s", content, offset + 2)
        if vr in (b"OB", b"UN", b"UT"):
            header, (length,) = 12, struct.unpack_from("<I", content, offset + 8)
        else:
            header, (length,) = 8, struct.unpack_from("<H", content, offset + 6)
        if element == 0x0010:
            transfer_syntax = content[offset + header : offset + header + length].decode("latin-1").strip("\x00 ")
        offset += header + length
    return transfer_syntax or "1.2.840.10008.1.2", content[offset:]
