"""DIMSE statuses that this door answers with, each with its source."""

from __future__ import annotations

SUCCESS = 0x0000  # PS3.7 Annex C.1.1
DUPLICATE_SOP_INSTANCE = 0x0111  # PS3.7 Annex C.5.4: this UID is held already, with other bytes
INVALID_SOP_INSTANCE = 0x0117  # PS3.7 Annex C.5.7: the SOP Instance UID breaks the rules or is absent
OUT_OF_RESOURCES = 0xA700  # PS3.4 Table B.2-1: refused, the peer keeps its copy and may try again
SOP_CLASS_NOT_SUPPORTED = 0x0122  # PS3.7 Annex C.5.6
CANNOT_UNDERSTAND = 0xC000  # PS3.4 Table B.2-1: failure, cannot understand
