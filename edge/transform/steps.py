"""What each kind of step does to a data set. One function for each; the table at the end names them."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from edge.charset import ESC, CharacterSets
from edge.steps import Step
from edge.transform.elements import Element, Level, Reader
from edge.transform.failure import Impossible
from edge.transform.pattern import LONGEST_VALUE, BadPattern, compile_pattern
from edge.transform.validity import HASHED, LOCALISED, TEXTS, split, untouchable, vr_of
from edge.transform.values import CHARACTER_SET, LONGEST_TEXT, Texts

SOP_INSTANCE, STUDY_INSTANCE, SERIES_INSTANCE = 0x00080018, 0x0020000D, 0x0020000E
IDENTITIES = (SOP_INSTANCE, STUDY_INSTANCE, SERIES_INSTANCE)
REFERENCES = {
    SOP_INSTANCE: frozenset((SOP_INSTANCE, 0x00081155, 0x00080058, 0x00041511)),
    0x00200052: frozenset((0x00200052, 0x30060024, 0x300600C2)),
}
"""Where else the UIDs of an attribute stand: who hashes one hashes all, so that references still meet."""
REGISTERED = "1.2.840.10008."
"""UIDs of the standard itself mean the same everywhere and are never hashed."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A data set under change."""

    reader: Reader
    level: Level
    key: Callable[[], bytes]

    def top(self) -> Texts:
        """The texts of its top level."""
        return Texts(self.reader, self.level)

    def one(self, tag: int) -> Element | None:
        """The element of the top level. Raises Impossible when there are several: which one counts is not known."""
        found = [one for one in self.level.elements if one.tag == tag]
        if len(found) > 1:
            raise Impossible("it stands there more than once", tag)
        return found[0] if found else None

    def everywhere(self) -> Iterator[Texts]:
        """The texts of every level, the outermost first; each by the character set in force there."""
        yield from _walk(self.top(), 0)


def carry_out(step: Step, subject: Subject) -> None:
    """Do one step. Raises Impossible."""
    if step.tag and (why := forbidden(step)):
        raise Impossible(why, step.to or step.tag)
    _STEPS[step.kind](step, subject)


def forbidden(step: Step) -> str:
    """Why a step of this kind may not change this attribute; empty when it may."""
    target = step.to or step.tag
    if target in IDENTITIES and step.kind != "hash":
        return "what identifies an object can be changed by `hash` only, so that references still meet"
    return untouchable(target)


def _set(step: Step, subject: Subject) -> None:
    vr = vr_of(step.tag)
    subject.top().put(step.tag, vr, split(vr, step.value), subject.level.coding)


def _remove(step: Step, subject: Subject) -> None:
    for texts in subject.everywhere():
        while (one := texts.level.find(step.tag)) is not None:
            texts.level.remove(one)


def _copy(step: Step, subject: Subject) -> None:
    texts = subject.top()
    source = subject.one(step.tag)
    values = texts.read(source) if source is not None else []
    if any(values):
        texts.put(step.to, vr_of(step.to), values, subject.level.coding)


def _hash(step: Step, subject: Subject) -> None:
    key = subject.key()
    if step.tag == SOP_INSTANCE and not any(_values(subject.top(), step.tag)):
        raise Impossible("it is missing, and an object without it cannot be sent", step.tag)
    wanted = REFERENCES.get(step.tag, frozenset((step.tag,)))
    for texts in subject.everywhere():
        for one in texts.level.elements:
            if one.tag in wanted:
                vr = texts.vr(one)
                texts.change(one, [pseudonym(value, vr, key, one.tag) for value in texts.read(one)])


def _map(step: Step, subject: Subject) -> None:
    texts, table = subject.top(), dict(step.table)
    values: list[str] = []
    for value in _values(texts, step.tag) or [""]:
        if value in table:
            values.append(table[value])
        elif step.otherwise == "fail":
            raise Impossible("its value is not in the table", step.tag)
        elif step.otherwise != "remove":
            values.append(step.value if step.otherwise == "set" else value)
    element = subject.one(step.tag)
    if element is None and any(values):
        vr = vr_of(step.tag)
        texts.put(step.tag, vr, values, subject.level.coding)
    elif element is not None and not values:
        subject.level.remove(element)
    elif element is not None and values != texts.read(element):
        texts.change(element, values)


def _regex(step: Step, subject: Subject) -> None:
    try:
        pattern = compile_pattern(step.pattern, step.value)
    except BadPattern as error:
        raise Impossible(f"its pattern cannot be used: {error}", step.tag) from None

    def replaced(value: str) -> str:
        if len(value) > LONGEST_VALUE:
            raise Impossible(f"its value is longer than the {LONGEST_VALUE} characters a pattern may see", step.tag)
        return pattern.sub(step.value, value)

    _each(step.tag, subject, replaced)


def _prefix(step: Step, subject: Subject) -> None:
    _each(step.tag, subject, lambda value: value if value.startswith(step.value) else step.value + value)


def _charset(_step: Step, subject: Subject) -> None:
    utf8 = CharacterSets(("ISO_IR 192",))
    found = list(subject.everywhere())
    for texts in found:
        for one in texts.level.elements:
            vr = texts.vr(one)
            if vr not in LOCALISED or (one.new is None and one.end - one.value_at > LONGEST_TEXT):
                if vr in LOCALISED:
                    raise Impossible("its text is too long to be encoded again", one.tag)
                continue
            raw = texts.raw(one)
            if not raw.isascii() or ESC in raw:
                new = utf8.encode(texts.decode(raw, vr, one.tag))
                if ESC in new:
                    raise Impossible("its text holds an escape character", one.tag)
                one.new = new + b" " * (len(new) % 2)
    for texts in found:
        if texts.level is subject.level or texts.level.find(CHARACTER_SET) is not None:
            texts.level.put(CHARACTER_SET, "CS", b"ISO_IR 192")


def _remove_private(step: Step, subject: Subject) -> None:
    for texts in subject.everywhere():
        private = [one for one in texts.level.elements if one.tag >> 16 & 1]
        creators = {one.tag: texts.raw(one).decode("latin-1").strip(" \0") for one in private if _is_creator(one.tag)}
        kept = {tag for tag, name in creators.items() if name in step.keep}
        for one in private:
            block = one.tag & 0xFFFF0000 | (one.tag >> 8 & 0xFF)
            if (one.tag if _is_creator(one.tag) else block) not in kept:
                texts.level.remove(one)


def _is_creator(tag: int) -> bool:
    return 0x10 <= tag & 0xFFFF <= 0xFF


_STEPS: dict[str, Callable[[Step, Subject], None]] = {
    "set": _set,
    "remove": _remove,
    "copy": _copy,
    "hash": _hash,
    "map": _map,
    "regex": _regex,
    "prefix": _prefix,
    "charset": _charset,
    "remove_private": _remove_private,
}


def pseudonym(value: str, vr: str, key: bytes, tag: int) -> str:
    """The keyed hash of one value: a UID below 2.25, or hexadecimal digits; empty for an empty one."""
    value = value.rstrip("^= ") if vr == "PN" else value
    if not value or (vr == "UI" and value.startswith(REGISTERED)):
        return value
    digest = hmac.new(key, value.encode(), hashlib.sha256)
    if vr == "UI":
        return f"2.25.{int.from_bytes(digest.digest()[:16], 'big')}"
    if vr not in HASHED:
        raise Impossible("its VR cannot hold a hash", tag)
    digits = digest.hexdigest()[: HASHED[vr]]
    return digits.upper() if vr == "CS" else digits


def _values(texts: Texts, tag: int) -> list[str]:
    element = texts.level.find(tag)
    return texts.read(element) if element is not None else []


def _each(tag: int, subject: Subject, change: Callable[[str], str]) -> None:
    """Change every value that is there and not empty; nothing is written when none becomes another."""
    element, texts = subject.one(tag), subject.top()
    if element is None:
        return
    if texts.vr(element) not in TEXTS:
        raise Impossible("it holds no text", tag)
    values = texts.read(element)
    changed = [change(value) if value else value for value in values]
    if changed != values:
        texts.change(element, changed)


def _walk(texts: Texts, depth: int) -> Iterator[Texts]:
    yield texts
    element: Element
    for element in list(texts.level.elements):
        for item in texts.reader.items(element, texts.level, depth):
            yield from _walk(Texts(texts.reader, item, texts.sets), depth + 1)
