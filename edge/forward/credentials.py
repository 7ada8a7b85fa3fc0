"""Secrets of destinations: small files beside the data, or what systemd hands over; never in a policy.

A policy names a file. It is looked for in `$CREDENTIALS_DIRECTORY` (systemd.exec, `LoadCredential=`), then in
`credentials/` of the data directory.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path

from edge.forward.base import DestinationDown

_MOST_BYTES = 16_384


class Credentials:
    """Finds and reads the files. They are read again whenever a destination is tried anew."""

    def __init__(self, data_dir: Path) -> None:
        self._own = data_dir / "credentials"

    def read(self, name: str, *sets: tuple[str, ...]) -> Mapping[str, str]:
        """What the file says; it holds at least all keys of one of these sets.

        Raises:
            DestinationDown: it is missing, open to others, or does not hold what is needed.
        """
        path = self.path(name)
        content = _content(name, path, strict=path.parent == self._own)
        if isinstance(content, dict) and all(isinstance(value, str) for value in content.values()):
            for keys in sets:
                if all(content.get(key) for key in keys):
                    return content
        wanted = " or ".join("{" + ", ".join(f'"{key}": "…"' for key in keys) + "}" for keys in sets)
        raise DestinationDown(f"the credentials `{name}` do not hold what is needed", hint=f"Write {wanted} as JSON.")

    def path(self, name: str) -> Path:
        """Where a file of this name lies.

        Raises:
            DestinationDown: it lies nowhere.
        """
        handed = os.environ.get("CREDENTIALS_DIRECTORY")
        folders = [Path(handed), self._own] if handed else [self._own]
        for folder in folders:
            if (folder / name).is_file():
                return folder / name
        raise DestinationDown(
            f"there is no file `{name}` with what this destination needs",
            hint=f"Put it into {self._own}, for its owner only, or let systemd hand it over (LoadCredential).",
        )


def _content(name: str, path: Path, *, strict: bool) -> object:
    try:
        with path.open("rb") as stream:
            mode = stat.S_IMODE(os.fstat(stream.fileno()).st_mode)
            # systemd lets the service's user in through an access list, which shows as rights of the group.
            if mode & (0o077 if strict else 0o007):
                raise DestinationDown(f"others may read the credentials `{name}`", hint=f"chmod 600 {path}")
            return json.loads(stream.read(_MOST_BYTES))
    except OSError as error:
        words = os.strerror(error.errno or 0)
        raise DestinationDown(
            f"the credentials `{name}` cannot be read: {words}", hint="Let the user of the node own and read the file."
        ) from error
    except ValueError:
        return None  # its words would show what stands there
