"""Transfer syntaxes whose encoding of elements is not Explicit VR Little Endian (PS3.5 Annex A)."""

from __future__ import annotations

EXPLICIT = "1.2.840.10008.1.2.1"
"""Explicit VR Little Endian."""
PLAIN_IMPLICIT = "1.2.840.10008.1.2"
"""Implicit VR Little Endian, which every peer must take (PS3.5 10.1)."""
IMPLICIT = frozenset((PLAIN_IMPLICIT, "1.2.840.113619.5.2"))
"""Implicit VR Little Endian, and the private one whose header is the same (only its pixels are big endian)."""
BIG_ENDIAN = "1.2.840.10008.1.2.2"
DEFLATED = frozenset(("1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205"))
"""Deflated Explicit VR; JPIP Referenced Deflate and JPIP HTJ2K Referenced Deflate (PS3.5 A.5, A.7, A.13)."""
DECODABLE = frozenset(
    (
        "1.2.840.10008.1.2.5",
        "1.2.840.10008.1.2.1.99",
        *(f"1.2.840.10008.1.2.4.{kind}" for kind in (50, 51, 57, 70, 80, 81, 90, 91)),
    )
)
"""What a node can turn into Explicit VR Little Endian: RLE Lossless and a deflated data set; and, with the extra
`codecs`, JPEG (baseline, extended, lossless), JPEG-LS and JPEG 2000."""


def other_forms(transfer_syntax_uid: str) -> tuple[str, ...]:
    """What a node can make of an object that is stored so, without a loss and the best first."""
    if transfer_syntax_uid in DECODABLE:
        return EXPLICIT, PLAIN_IMPLICIT
    return (PLAIN_IMPLICIT,) if transfer_syntax_uid == EXPLICIT else ()
