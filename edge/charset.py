"""Text in the character sets of PS3.3 C.12.1.1.2, decoded faithfully or not at all (PS3.5 6.1).

Nothing is replaced or guessed: a rule, a search or a person must never meet a name that the sender did not write.
"""

from __future__ import annotations

import re

ESC = 0x1B

# PS3.3 Table C.12-2 and C.12-3: the right half (G1) of the code table, as Python's codecs call it.
_G1_OF_TERM = {
    "6": "",
    "13": "katakana",
    "100": "iso8859_1",
    "101": "iso8859_2",
    "109": "iso8859_3",
    "110": "iso8859_4",
    "126": "iso8859_7",
    "127": "iso8859_6",
    "138": "iso8859_8",
    "144": "iso8859_5",
    "148": "iso8859_9",
    "166": "iso8859_11",
    "203": "iso8859_15",
}
# PS3.3 Table C.12-4: multi-byte sets enter by their escape sequence only.
_ESCAPED_ONLY = {"87", "159", "149", "58"}
# PS3.3 Table C.12-5: sets without code extensions.
_STAND_ALONE = {"ISO_IR 192": "utf-8", "GB18030": "gb18030", "GBK": "gbk"}

# The escape sequences of the same tables: (half of the code table, character set).
_ESCAPES: dict[bytes, tuple[int, str]] = {
    b"(B": (0, ""),
    b"(J": (0, "romaji"),
    b"$B": (0, "jisx0208"),
    b"$(D": (0, "jisx0212"),
    b")I": (1, "katakana"),
    b"$)C": (1, "euc_kr"),
    b"$)A": (1, "gb2312"),
    b"-A": (1, "iso8859_1"),
    b"-B": (1, "iso8859_2"),
    b"-C": (1, "iso8859_3"),
    b"-D": (1, "iso8859_4"),
    b"-F": (1, "iso8859_7"),
    b"-G": (1, "iso8859_6"),
    b"-H": (1, "iso8859_8"),
    b"-L": (1, "iso8859_5"),
    b"-M": (1, "iso8859_9"),
    b"-T": (1, "iso8859_11"),
    b"-b": (1, "iso8859_15"),
}
_PIECE = re.compile(rb"\x1b(\$[()][A-D]|\$B|[()][BIJ]|-[A-Tb])|([\x00-\x1a\x1c-\x7f]+)|([\x80-\xff]+)|(\x1b)")
_TERM = re.compile(r"ISO[_ -]?(?:2022[ _-])?IR[ _-](\d+)")


class Undecodable(Exception):
    """The bytes are not text in the character set that the data set announces."""


class Unencodable(Exception):
    """The text has no bytes in the character set that the data set announces."""


class CharacterSets:
    """What Specific Character Set (0008,0005) announces for one data set."""

    def __init__(self, terms: tuple[str, ...] = ()) -> None:
        self.known = True
        self._stand_alone: str | None = None
        self._g1 = ""
        first = terms[0].strip() if terms else ""
        for term in (t.strip() for t in terms):
            if term in _STAND_ALONE and len(terms) == 1:
                self._stand_alone = _STAND_ALONE[term]
                continue
            match = _TERM.fullmatch(term)
            number = match[1] if match else None
            if number == "192" and len(terms) == 1:
                self._stand_alone = "utf-8"
            elif term and number not in _G1_OF_TERM and number not in _ESCAPED_ONLY:
                self.known = False
            elif term == first and number in _G1_OF_TERM:
                self._g1 = _G1_OF_TERM[str(number)]

    def decode(self, data: bytes, *, delimiters: bytes) -> str:
        """Decode one whole value. Raises Undecodable. After each delimiter the announced set is in force again."""
        try:
            if data.isascii() and ESC not in data:
                return data.decode("ascii")  # every set that the standard allows has ASCII in its left half
            if not self.known:
                raise Undecodable
            if self._stand_alone:
                return data.decode(self._stand_alone)
            return "".join(self._pieces(data, delimiters))
        except UnicodeDecodeError:
            raise Undecodable from None

    def encode(self, text: str) -> bytes:
        """Encode so that `decode` gives the same text again. Raises Unencodable; no escape sequences are written."""
        try:
            if text.isascii():
                return text.encode("ascii")
            codec = self._stand_alone or ("" if self._g1 == "katakana" else self._g1)
            if not (self.known and codec):
                raise Unencodable
            data = text.encode(codec)
        except UnicodeEncodeError:
            raise Unencodable from None
        if self._stand_alone is None and any(0x80 <= byte < 0xA0 for byte in data):
            raise Unencodable
        return data

    def _pieces(self, data: bytes, delimiters: bytes) -> list[str]:
        halves = ["", self._g1]
        out = []
        for match in _PIECE.finditer(data):
            escape, left, right, stray = match.groups()
            if stray:
                raise Undecodable
            if escape is not None:
                if escape not in _ESCAPES:
                    raise Undecodable
                half, name = _ESCAPES[escape]
                halves[half] = name
            elif left is not None:
                out.append(_decode_left(left, halves[0]))
                # PS3.5 6.1.2.5.3: a delimiter, which is in ASCII, resets both halves.
                if halves[0] in {"", "romaji"} and any(d in left for d in delimiters):
                    halves = ["", self._g1]
            else:
                out.append(_decode_right(right, halves[1]))
        return out


def _decode_left(data: bytes, name: str) -> str:
    if name == "jisx0208":
        return (b"\x1b$B" + data).decode("iso2022_jp")
    if name == "jisx0212":
        return (b"\x1b$(D" + data).decode("iso2022_jp_2")
    return data.decode("ascii")


def _decode_right(data: bytes, name: str) -> str:
    if not name:
        raise Undecodable
    if name == "katakana":
        if any(not 0xA1 <= byte <= 0xDF for byte in data):
            raise Undecodable
        return data.decode("shift_jis")
    return data.decode(name)
