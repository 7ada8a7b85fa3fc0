"""DIMSE statuses that this door answers with, each with its source."""

from __future__ import annotations

SUCCESS = 0x0000  # PS3.7 Annex C.1.1
DUPLICATE_SOP_INSTANCE = 0x0111  # PS3.7 Annex C.5.4: this UID is held already, with other bytes
INVALID_SOP_INSTANCE = 0x0117  # PS3.7 Annex C.5.7: the SOP Instance UID breaks the rules or is absent
OUT_OF_RESOURCES = 0xA700  # PS3.4 Table B.2-1: refused, the peer keeps its copy and may try again
SOP_CLASS_NOT_SUPPORTED = 0x0122  # PS3.7 Annex C.5.6
CANNOT_UNDERSTAND = 0xC000  # PS3.4 Table B.2-1: failure, cannot understand
INVALID_ATTRIBUTE_VALUE = 0x0106  # PS3.7 Annex C.5.5
PROCESSING_FAILURE = 0x0110  # PS3.7 Annex C.5.16; of a step that is over: may no longer be updated (PS3.4 F.7.2.2.4)
NO_SUCH_INSTANCE = 0x0112  # PS3.7 Annex C.5.14
INVALID_ARGUMENT_VALUE = 0x0115  # PS3.7 Annex C.5.8
CLASS_INSTANCE_CONFLICT = 0x0119  # PS3.7 Annex C.5.3
NO_SUCH_ACTION = 0x0123  # PS3.7 Annex C.5.11
RESOURCE_LIMITATION = 0x0213  # PS3.7 Annex C.5.20
