"""On what, and with which programs, the figures were taken."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from importlib.metadata import version
from pathlib import Path

import psutil

from provisioning.errors import ProgramMissing
from provisioning.local.program import find_program

_PROGRAMS = {"storescp": "dcmtk", "Orthanc": "orthanc"}


def machine() -> dict[str, object]:
    """Processor, memory, kernel, load, and the versions of the contestants."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load": os.getloadavg(),
        "versions": {
            "skerry": version("skerry"),
            "pynetdicom": version("pynetdicom"),
            **{package: _version_of(program, package) for program, package in _PROGRAMS.items()},
        },
    }


def _processor() -> str:
    found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
    return found[1] if found else platform.machine()


def _version_of(program: str, package: str) -> str:
    try:
        argv = [find_program(program, package=package), "--version"]
    except ProgramMissing:
        return "not installed"
    said = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False).stdout
    return said.splitlines()[0].strip("$ ") if said else "unknown"
