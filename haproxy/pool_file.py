"""A pool file: a `PoolsDocument` as YAML, for a site without a centre. Every mistake is named, with its place."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from haproxy.errors import SettingsError
from haproxy.pool.findings import findings
from mesh.pools import PoolsDocument

MOST_BYTES = 1 << 20
MOST_TOLD = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolFile:
    """What was read, and the sum of its bytes."""

    document: PoolsDocument
    fingerprint: str


class _Plain(yaml.SafeLoader):
    """YAML without what a pool file does not need: aliases can grow a small file into a huge one."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.constructor.ConstructorError(None, None, "aliases are not taken here; write it out", mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} is there twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


def read_pool_file(path: Path) -> PoolFile:
    """The pools of a file.

    Raises:
        SettingsError: it cannot be read, is no YAML, or is no document of pools; the hint lists what is to be mended.
    """
    try:
        with path.open("rb") as stream:
            content = stream.read(MOST_BYTES + 1)
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror or error}") from error
    if len(content) > MOST_BYTES:
        raise SettingsError(f"{path.name} is longer than {MOST_BYTES >> 20} MiB", hint="A pool file has a few lines.")
    document = read_pools(content, path.name)
    return PoolFile(document=document, fingerprint=hashlib.sha256(content).hexdigest())


def read_pools(content: bytes, name: str) -> PoolsDocument:
    """The document in these bytes.

    Raises:
        SettingsError: see `read_pool_file`.
    """
    try:
        facts = yaml.load(content.decode("utf-8"), _Plain)  # noqa: S506  # a safe loader with less
    except UnicodeDecodeError as error:
        raise SettingsError(f"{name} is no UTF-8 text", hint="Save it as UTF-8.") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark is not None else ""
        words = getattr(error, "problem", None) or "it cannot be read"
        raise SettingsError(f"{name}{where}: {words}", hint="It is to be YAML, as docs/pools.md shows.") from error
    try:
        document = PoolsDocument.model_validate(facts)
    except ValidationError as error:
        raise SettingsError(f"{name} is no document of pools", hint=_listed(list(_said(error)))) from error
    wrong = findings(document)
    if wrong:
        raise SettingsError(f"{name} asks for what cannot be", hint=_listed(wrong))
    return document


def _listed(words: list[str]) -> str:
    more = [f"… and {len(words) - MOST_TOLD} more"] if len(words) > MOST_TOLD else []
    return "\n  ".join([*words[:MOST_TOLD], *more])


def _said(error: ValidationError) -> Iterator[str]:
    for one in error.errors(include_url=False, include_input=False):
        place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in one["loc"]).lstrip(".")
        match one["type"]:
            case "missing":
                yield f"{place} is missing"
            case "extra_forbidden":
                yield f"{place} is no key that is known here"
            case _:
                described = _description(one["loc"])
                yield f"{place or 'the document'}: " + (f"must be {described}" if described else one["msg"])


def _description(place: tuple[int | str, ...]) -> str:
    """What the field at this place must be, in the model's own words."""
    model: type[BaseModel] | None = PoolsDocument
    described = ""
    for part in place:
        if isinstance(part, int) or model is None:
            continue
        found = next(
            (field for name, field in model.model_fields.items() if part in (name, field.alias)),
            None,
        )
        if found is None:
            return ""
        described = found.description or next((text for text in map(_text_of, found.metadata) if text), "")
        model = _model_in(found.annotation)
    return described


def _text_of(metadata: object) -> str:
    return str(getattr(metadata, "description", "") or "")


def _model_in(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for inner in get_args(annotation) if (model := _model_in(inner)) is not None), None)
