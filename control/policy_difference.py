"""What is different between two policies, entry by entry (pure)."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import yaml


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One entry that is not the same in both."""

    where: str
    """`routes/ct-to-pacs` for an entry with a name, `retention` for a key of the document."""
    what: str
    """added | removed | changed | moved"""
    before: Any = None
    after: Any = None

    def shown(self) -> dict[str, Any]:
        """For programs."""
        return asdict(self)

    def fields(self) -> list[str]:
        """What of a changed entry is not the same."""
        if self.what != "changed" or not isinstance(self.before, dict) or not isinstance(self.after, dict):
            return []
        return [str(key) for key in {**self.before, **self.after} if self.before.get(key) != self.after.get(key)]

    def text(self) -> str:
        """For people: the fields that changed, or nothing but the name."""
        if self.what != "changed":
            return f"{self.what:8} {self.where}"
        if not isinstance(self.before, dict) or not isinstance(self.after, dict):
            return f"changed  {self.where}: {_short(self.before)} -> {_short(self.after)}"
        old, new = self.before, self.after
        lines = [f"  {key}: {_short(old.get(key))} -> {_short(new.get(key))}" for key in self.fields()]
        return "\n".join([f"changed  {self.where}", *lines])


def changes(before: bytes, after: bytes) -> list[Change]:
    """What the second document says otherwise. Comments, order of keys and ways of writing do not count."""
    return list(_changes(_document(before), _document(after)))


def line_changes(before: bytes, after: bytes, name_before: str, name_after: str) -> str:
    """The same as text, line by line."""
    old, new = (one.decode("utf-8", "replace").splitlines() for one in (before, after))
    return "\n".join(difflib.unified_diff(old, new, name_before, name_after, lineterm=""))


def _document(content: bytes) -> Mapping[str, Any]:
    found = yaml.safe_load(content)
    return found if isinstance(found, dict) else {}


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Change]:
    for key in {**before, **after}:
        old, new = before.get(key), after.get(key)
        if old == new:
            continue
        named_old, named_new = _by_name(old), _by_name(new)
        if named_old is None or named_new is None:
            what = "added" if key not in before else "removed" if key not in after else "changed"
            yield Change(where=key, what=what, before=old, after=new)
        else:
            yield from _entries(key, named_old, named_new)


def _entries(section: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    for name in {**old, **new}:
        where = f"{section}/{name}"
        if name not in old:
            yield Change(where=where, what="added", after=new[name])
        elif name not in new:
            yield Change(where=where, what="removed", before=old[name])
        elif old[name] != new[name]:
            yield Change(where=where, what="changed", before=old[name], after=new[name])
    both = [name for name in old if name in new]
    if both != [name for name in new if name in old]:
        yield Change(where=section, what="moved", before=both, after=[name for name in new if name in old])


def _by_name(section: Any) -> Mapping[str, Any] | None:
    """The entries of a section by their names; None when it is no list of named entries."""
    if section is None:
        return {}
    if not isinstance(section, list) or not all(isinstance(one, dict) and "name" in one for one in section):
        return None
    found = {str(one["name"]): one for one in section}
    return found if len(found) == len(section) else None


def _short(value: Any) -> str:
    text = "-" if value is None else str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
