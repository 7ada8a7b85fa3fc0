"""The texts of one element: decoded by the character set in force, encoded in the same one, or refused."""

from __future__ import annotations

import struct

from edge.charset import CharacterSets, Undecodable, Unencodable
from edge.transform.elements import Coding, Element, Level, Reader
from edge.transform.failure import Impossible
from edge.transform.validity import LOCALISED, NUMBERS, SINGLE, TEXTS, split, wrong

CHARACTER_SET = 0x00080005
LONGEST_TEXT = 16 << 20
"""Bytes of a text; a longer one is refused."""


class Texts:
    """Reads and writes the texts of one level: the data set or an item."""

    def __init__(self, reader: Reader, level: Level, inherited: CharacterSets | None = None) -> None:
        self.reader, self.level = reader, level
        self.sets = self._announced() or inherited or CharacterSets()

    def vr(self, element: Element) -> str:
        """See `Reader.vr`."""
        return self.reader.vr(element, self.level)

    def raw(self, element: Element) -> bytes:
        """The value's bytes as they are now."""
        if element.new is not None:
            return element.new
        length = element.end - element.value_at
        if element.undefined or length > LONGEST_TEXT:
            raise Impossible("its value is no text of a sensible length", element.tag)
        return self.reader.origin.read(element.value_at, length)

    def read(self, element: Element) -> list[str]:
        """Its values, without the spaces that do not count; one empty text when there is none."""
        vr = self.vr(element)
        if vr in NUMBERS:
            return self._numbers(element, vr)
        if vr not in TEXTS:
            raise Impossible("it holds no text", element.tag)
        text = self.decode(self.raw(element), vr, element.tag)
        return [one.rstrip(" ") if vr in SINGLE else one.strip(" ") for one in split(vr, text)]

    def decode(self, raw: bytes, vr: str, tag: int) -> str:
        """The text in these bytes. Raises Impossible when that cannot be told faithfully."""
        raw = raw.rstrip(b"\0 ")
        delimiters = b"\\^=" if vr == "PN" else b"\r\n\x0c\t" if vr in SINGLE else b"\\"
        try:
            return (self.sets if vr in LOCALISED else CharacterSets()).decode(raw, delimiters=delimiters)
        except Undecodable:
            raise Impossible("its value is not text in the character set that is announced", tag) from None

    def put(self, tag: int, vr: str, values: list[str], coding: Coding) -> None:
        """These values in an element of this VR, in place of what is there."""
        self.level.put(tag, vr, self.encode(tag, vr, values, coding))

    def change(self, element: Element, values: list[str]) -> None:
        """Other values in an element that is there; its VR stays as it is written."""
        element.new = self.encode(element.tag, self.vr(element), values, element.coding)

    def encode(self, tag: int, vr: str, values: list[str], coding: Coding) -> bytes:
        """The bytes of these values. Raises Impossible when the VR or the character set has none for them."""
        for one in values:
            if words := wrong(vr, one):
                raise Impossible(f"its new value is not {words}", tag)
        if vr in NUMBERS:
            cast = float if vr in ("FL", "FD") else int
            return b"".join(struct.pack(coding.order + NUMBERS[vr], cast(one)) for one in values if one)
        try:
            raw = (self.sets if vr in LOCALISED else CharacterSets()).encode("\\".join(values))
        except Unencodable:
            raise Impossible(
                "its new value cannot be written in the character set of the data set; "
                "put the step `charset: utf-8` before this one",
                tag,
            ) from None
        return raw + (b"\0" if vr == "UI" else b" ") * (len(raw) % 2)

    def _numbers(self, element: Element, vr: str) -> list[str]:
        raw, width = self.raw(element), struct.calcsize("=" + NUMBERS[vr])
        if len(raw) % width:
            raise Impossible("its length is not that of its VR", element.tag)
        numbers = struct.unpack(f"{element.coding.order}{len(raw) // width}{NUMBERS[vr]}", raw)
        return [repr(one) for one in numbers] or [""]

    def _announced(self) -> CharacterSets | None:
        element = self.level.find(CHARACTER_SET)
        if element is None:
            return None
        raw = self.raw(element)
        if not raw.isascii():
            raise Impossible("it is not ASCII", CHARACTER_SET)
        return CharacterSets(tuple(raw.decode("ascii").strip(" \0").split("\\")))
