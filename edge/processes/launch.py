"""What a process of a node is told when it begins: a JSON document in memory that it inherits, not on the disk."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from typing import Any

from edge.settings import EdgeSettings, from_json, to_json


@dataclass(frozen=True, kw_only=True)
class Launch:
    """Settings that were checked, the policy of the command line, and the descriptors that are passed on."""

    settings: EdgeSettings
    policy: str | None = None
    """The text of a policy that beats the centre's; core checks it."""
    name: str = "supervisor"
    number: int = 0
    """Among the processes of its kind."""
    of: int = 1
    """How many there are of its kind."""
    dicom: str = ""
    """The address of the DICOM listener."""
    listener: int = -1
    agent: int = -1
    """The listener of the agent check, where there is one."""
    lifeline: int = -1
    """A socket to the supervisor: beats go there, and its end is the supervisor's end."""
    bells: dict[str, int] = field(default_factory=dict)
    """Who is to be woken, or to listen, by name."""

    def inheritable(self) -> int:
        """A descriptor of the document; whoever creates a process with it closes it afterwards."""
        values: dict[str, Any] = {**asdict(self), "settings": to_json(self.settings)}
        descriptor = os.memfd_create("launch")
        os.write(descriptor, json.dumps(values).encode())
        return descriptor


def inherited(descriptor: int) -> Launch:
    """The document that this process was given."""
    values = json.loads(os.pread(descriptor, os.fstat(descriptor).st_size, 0))
    os.close(descriptor)
    return Launch(**{**values, "settings": from_json(values["settings"])})
