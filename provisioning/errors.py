"""Every error that provisioning raises on purpose.

ProvisioningError          a step of setting up, starting or driving a mesh failed; `hint` says what to do
├── ProgramMissing         a program of the operating system is not installed
├── ProgramFailed          a program that was started ended, or did not become ready in time
└── CommandFailed          a command that was run to its end reported a failure
"""

from __future__ import annotations


class ProvisioningError(Exception):
    """Setting up or driving the mesh failed."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class ProgramMissing(ProvisioningError):
    """A program of the operating system is not installed."""

    def __init__(self, program: str, package: str) -> None:
        super().__init__(f"{program} is not installed", hint=f"Install it with: apt-get install {package}")
        self.program = program


class ProgramFailed(ProvisioningError):
    """A program that was started ended, or did not become ready in time."""


class CommandFailed(ProvisioningError):
    """A command that was run to its end reported a failure."""

    def __init__(self, message: str, *, returncode: int, stderr: str) -> None:
        super().__init__(message)
        self.returncode = returncode
        self.stderr = stderr
