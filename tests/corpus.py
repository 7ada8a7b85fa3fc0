"""The folder of real DICOM files beside the checkout: present, or said clearly to be absent."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

CORPUS = Path(__file__).resolve().parents[2] / "shared" / "corpus"


def corpus_files(part: str) -> list[Path]:
    """Every file of `dev` or `fuzz`. Skips the test without the corpus; fails it where everything is required."""
    files = sorted(path for path in (CORPUS / part).rglob("*") if path.is_file())
    if not files:
        said = f"the corpus is not at ../shared/corpus/{part}"
        if os.environ.get("SKERRY_REQUIRE_ALL"):
            pytest.fail(said)
        pytest.skip(said)
    return files
