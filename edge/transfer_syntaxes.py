"""Transfer syntaxes whose encoding of elements is not Explicit VR Little Endian (PS3.5 Annex A)."""

from __future__ import annotations

EXPLICIT = "1.2.840.10008.1.2.1"
"""Explicit VR Little Endian."""
IMPLICIT = frozenset(("1.2.840.10008.1.2", "1.2.840.113619.5.2"))
"""Implicit VR Little Endian, and the private one whose header is the same (only its pixels are big endian)."""
BIG_ENDIAN = "1.2.840.10008.1.2.2"
DEFLATED = frozenset(("1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205"))
"""Deflated Explicit VR; JPIP Referenced Deflate and JPIP HTJ2K Referenced Deflate (PS3.5 A.5, A.7, A.13)."""
DECODABLE = frozenset(("1.2.840.10008.1.2.5", "1.2.840.10008.1.2.1.99"))
"""What a node can turn into Explicit VR Little Endian: RLE Lossless, and a deflated data set."""
