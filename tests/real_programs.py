"""Real programs of the operating system that tests need: skipped when absent, unless everything is required."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from provisioning.errors import ProgramMissing
from provisioning.local.program import find_program

_PACKAGES = {
    "storescp": "dcmtk",
    "dcmsend": "dcmtk",
    "mosquitto": "mosquitto",
    "strace": "strace",
    "haproxy": "haproxy",
    "Orthanc": "orthanc",
}


def require_file(path: Path, *, package: str) -> None:
    """Skip this test when a file of a package is missing; fail it when the run requires everything."""
    if path.exists():
        return
    if os.environ.get("SKERRY_REQUIRE_ALL") == "1":
        pytest.fail(f"{path} is missing. Install {package}.")
    pytest.skip(f"{path} is missing. Install {package}.")


def require(*programs: str) -> None:
    """Skip this test when one of the programs is missing; fail it when the run requires them all."""
    for program in programs:
        try:
            find_program(program, package=_PACKAGES[program])
        except ProgramMissing as missing:
            if os.environ.get("SKERRY_REQUIRE_ALL") == "1":
                pytest.fail(f"{missing}. {missing.hint}")
            pytest.skip(f"{missing}. {missing.hint}")
