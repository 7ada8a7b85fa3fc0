"""One study search over every site, and the trace of one study."""

from __future__ import annotations
