"""The policy behind `--to AETITLE@HOST:PORT`: everything goes to these peers."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from edge.errors import PolicyError

_PEER = re.compile(r"(?P<ae>[^@]+)@(?P<host>\[[0-9A-Fa-f:.%]+\]|[^\s:/@\[\]]+):(?P<port>[0-9]{1,5})")
_AE_TITLE = re.compile(r"[!-\[\]-~](?:[ -\[\]-~]{0,14}[!-\[\]-~])?")


def everything_to(peers: Sequence[str]) -> str:
    """The YAML of a policy that sends everything to each peer; without peers one that only buffers.

    Raises PolicyError that says what was expected of a peer that is not `AETITLE@HOST:PORT`.
    """
    if not peers:
        return "skerry: 1\ndestinations: []\nroutes: []\n"
    names: list[str] = []
    lines = ["skerry: 1", "destinations:"]
    for peer in peers:
        ae_title, host, port = _parse(peer)
        names.append(_unique(ae_title, names))
        lines.append(
            f"  - {{name: {json.dumps(names[-1])}, kind: dicom, ae_title: {json.dumps(ae_title)}, "
            f"host: {json.dumps(host)}, port: {port}}}"
        )
    lines += ["routes:", f"  - {{name: everything, to: {json.dumps(names)}}}", ""]
    return "\n".join(lines)


def _parse(peer: str) -> tuple[str, str, int]:
    match = _PEER.fullmatch(peer.strip())
    expected = "Expected AETITLE@HOST:PORT, for example PACS@10.0.0.5:104 or PACS@[fd00::5]:104."
    if match is None:
        raise PolicyError(f"`{peer}` is not a peer", hint=expected)
    ae_title, port = match["ae"].strip(), int(match["port"])
    if not _AE_TITLE.fullmatch(ae_title):
        raise PolicyError(f"`{ae_title}` is not an AE title: 1 to 16 ASCII characters without backslash", hint=expected)
    if not 1 <= port <= 65535:
        raise PolicyError(f"`{port}` is not a port: 1 to 65535", hint=expected)
    return ae_title, match["host"].strip("[]"), port


def _unique(ae_title: str, taken: Sequence[str]) -> str:
    base = re.sub(r"[^A-Za-z0-9._-]", "-", ae_title)
    base = base if base[0].isalnum() else f"to-{base}"
    name, number = base, 1
    while name in taken:
        number += 1
        name = f"{base}-{number}"
    return name
