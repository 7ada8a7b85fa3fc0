"""Which texts a VR can hold (PS3.5 Table 6.2-1), and which attributes a transform may name."""

from __future__ import annotations

import re
import struct
from datetime import date

from edge.data_dictionary import dictionary_vr, keyword_of_tag, tag_of_keyword

LOCALISED = frozenset(("LO", "LT", "PN", "SH", "ST", "UC", "UT"))
"""PS3.5 6.1.2.3: only these are affected by Specific Character Set."""
SINGLE = frozenset(("LT", "ST", "UT", "UR"))
"""Of one value, in which a backslash is a character."""
TEXTS = LOCALISED | {"AE", "AS", "CS", "DA", "DS", "DT", "IS", "TM", "UI", "UR"}
NUMBERS = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "FL": "f", "FD": "d", "SV": "q", "UV": "Q"}
HASHED = {"LO": 32, "SH": 16, "PN": 32, "ST": 32, "LT": 32, "UT": 32, "UC": 32, "AE": 16, "CS": 16}
"""Letters of a hash in each VR that can hold one, beside UI."""

_LONGEST = {"AE": 16, "CS": 16, "LO": 64, "SH": 16, "ST": 1024, "LT": 10240, "UI": 64, "DS": 16, "IS": 12}
_DATE = r"[0-9]{8}"
_TIME = r"(?:[01][0-9]|2[0-3])(?:[0-5][0-9](?:(?:[0-5][0-9]|60)(?:\.[0-9]{1,6})?)?)?"
_FORMS = {
    "AE": r"[ -\[\]-~]*",
    "AS": r"[0-9]{3}[DWMY]",
    "CS": r"[A-Z0-9 _]*",
    "DA": _DATE,
    "DS": r" *[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)? *",
    "DT": rf"[0-9]{{4}}(?:(?:0[1-9]|1[0-2])(?:[0-3][0-9](?:{_TIME})?)?)?(?:[+-][01][0-9][0-5][0-9])?",
    "IS": r" *[+-]?[0-9]+ *",
    "TM": _TIME,
    "UI": r"(?:0|[1-9][0-9]*)(?:\.(?:0|[1-9][0-9]*))*",
    "UR": r"[!-~]*",
}
_COMPILED = {vr: re.compile(form) for vr, form in _FORMS.items()}
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_CONTROL_BUT_LINES = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_WORDS = {
    "AE": "at most 16 ASCII characters",
    "AS": "three digits and D, W, M or Y, such as 042Y",
    "CS": "at most 16 capital letters, digits, spaces or underscores",
    "DA": "a date as YYYYMMDD",
    "DS": "a decimal number of at most 16 characters",
    "DT": "a date and time as YYYYMMDDHHMMSS",
    "IS": "a whole number of at most 12 characters",
    "TM": "a time as HHMMSS",
    "UI": "a UID: at most 64 digits and dots",
    "LO": "at most 64 characters without controls",
    "SH": "at most 16 characters without controls",
    "PN": "a name: at most 64 characters in each of three groups, five components in each",
}


def wrong(vr: str, value: str) -> str:
    """What one value of this VR must be, when this text is none; empty when it is. An empty text always is."""
    if not value or _is_valid(vr, value):
        return ""
    return _WORDS.get(vr, f"a valid value of VR {vr}")


def split(vr: str, text: str) -> list[str]:
    """The values in a text (PS3.5 section 6.4)."""
    return [text] if vr in SINGLE else text.split("\\")


def wrong_text(vr: str, text: str) -> str:
    """The same for a text of several values, joined by backslashes."""
    return next((words for one in split(vr, text) if (words := wrong(vr, one))), "")


def tag_of(name: str) -> int | None:
    """The tag of a keyword or of `(gggg,eeee)`; None when it is neither."""
    match = re.fullmatch(r"\(([0-9A-Fa-f]{4}),([0-9A-Fa-f]{4})\)", name)
    return int(match[1] + match[2], 16) if match else tag_of_keyword(name)


def name_of(tag: int) -> str:
    """The keyword of a tag, or `(gggg,eeee)`."""
    return keyword_of_tag(tag) or f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


def vr_of(tag: int) -> str:
    """The VR that the dictionary gives, empty when it gives none or several."""
    try:
        vr = dictionary_vr(tag)
    except KeyError:
        return ""
    return vr if len(vr) == 2 else ""


def untouchable(tag: int) -> str:
    """Why nobody may change this attribute; empty when somebody may."""
    group, number = tag >> 16, tag & 0xFFFF
    if group in (0x0000, 0x0002, 0x0004, 0xFFFE):
        return "it belongs to the file or to the message, not to the data set"
    if group >= 0x7FE0 and not group & 1:
        return "pixels, and what stands behind them, pass as they are"
    if group == 0x0028 and (0x1100 <= number < 0x1300 or number == 0x7FE0 or number < 0x0300):
        return "it describes the pixels, which pass as they are"
    if not number:
        return "group lengths follow from what they count"
    return {0x00080005: "use the step `charset: utf-8`", 0x00080016: "the kind of an object cannot be changed"}.get(
        tag, ""
    )


def _is_valid(vr: str, value: str) -> bool:
    if vr in NUMBERS:
        try:
            number = float(value) if vr in ("FL", "FD") else int(value)
            struct.pack("<" + NUMBERS[vr], number)
        except (ValueError, OverflowError, struct.error):
            return False
        return True
    if vr not in TEXTS or len(value) > _LONGEST.get(vr, 1 << 20):
        return False
    if (_CONTROL_BUT_LINES if vr in ("LT", "ST", "UT") else _CONTROL).search(value):
        return False
    if vr not in SINGLE and "\\" in value:
        return False
    if vr in _COMPILED and not _COMPILED[vr].fullmatch(value):
        return False
    if vr == "PN":
        groups = value.split("=")
        return len(groups) <= 3 and all(len(one) <= 64 and one.count("^") <= 4 for one in groups)
    return vr != "DA" or _is_date(value)


def _is_date(value: str) -> bool:
    try:
        date(int(value[:4]), int(value[4:6]), int(value[6:]))
    except ValueError:
        return False
    return True
