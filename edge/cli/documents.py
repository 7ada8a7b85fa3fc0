"""Policy documents as a command line names them."""

from __future__ import annotations

import sys
from pathlib import Path

from edge.errors import SettingsError


def read_document(path: Path) -> str:
    """The text of a policy file, or of standard input for `-`.

    Raises:
        SettingsError: it cannot be read as UTF-8 text.
    """
    try:
        return sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8")
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}", hint="Give a file that is there.") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path} cannot be read: {error}", hint="Give a UTF-8 text file.") from error
