"""The committed OpenAPI document: `make openapi` writes it.

A test compares it with the routes, so that nobody changes the API by accident.
"""

from __future__ import annotations

import json
import sys

from control.app import create_app
from control.injection import Provisions


def text() -> str:
    """The document as it is committed."""
    return json.dumps(create_app(Provisions()).openapi(), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(text())
