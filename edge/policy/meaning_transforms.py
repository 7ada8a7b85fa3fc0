"""What the transforms of a policy mean, and what is wrong with them: found before an image is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from edge.data_dictionary import keywords
from edge.policy.schema_transforms import MapModel, StepModel, TransformModel
from edge.policy.wording import nearest
from edge.steps import Step, Transform
from edge.transform.pattern import BadPattern, compile_pattern
from edge.transform.steps import forbidden
from edge.transform.validity import HASHED, NUMBERS, TEXTS, tag_of, vr_of, wrong_text

Path = tuple[str | int, ...]
_PREFIXED = frozenset(HASHED)
_OTHERWISE = ("fail", "keep", "remove")


class Report(Protocol):
    """Takes findings at a place in the document."""

    def error(self, path: Path, message: str, hint: str = "") -> None:
        """It must not run."""

    def warn(self, path: Path, message: str, hint: str = "") -> None:
        """It is doubtful."""


class Transforms:
    """The named transforms of a document, for its destinations to ask for."""

    def __init__(self, models: Sequence[TransformModel], report: Report) -> None:
        self._report = report
        self._known: Mapping[str, Transform] = {
            model.name: Transform(name=model.name, steps=self._steps(("transforms", n, "steps"), model.steps))
            for n, model in enumerate(models)
        }
        self._names, self._used = [model.name for model in models], set[str]()

    def of(self, names: Sequence[str], path: Path) -> tuple[Transform, ...]:
        """Those that a destination names, in its order."""
        for n, name in enumerate(names):
            if name not in self._known:
                meant = nearest(name, list(self._known))
                known = f"Known transforms: {', '.join(self._known)}." if self._known else ""
                hint = f"Did you mean `{meant}`?" if meant else known or "The document has no `transforms`."
                self._report.error((*path, n), f"there is no transform `{name}`", hint)
            elif name in names[:n]:
                self._report.warn((*path, n), f"`{name}` stands twice in this destination")
        self._used.update(names)
        return tuple(self._known[name] for name in names if name in self._known)

    def warn_unused(self) -> None:
        """Say which ones no destination has asked for."""
        if not self._used <= self._known.keys():
            return  # a misspelt name is an error already; this would be its echo
        for n, name in enumerate(self._names):
            if name not in self._used:
                hint = "Name it in a destination's `transforms`, or remove it."
                self._report.warn(("transforms", n, "name"), f"no destination uses the transform `{name}`", hint)

    def _steps(self, path: Path, models: Sequence[StepModel]) -> tuple[Step, ...]:
        steps = (self._step((*path, n), model) for n, model in enumerate(models))
        return tuple(step for step in steps if step is not None)

    def _step(self, path: Path, model: StepModel) -> Step | None:
        written = {key: value for key, value in dict(model).items() if value is not None}
        kinds = [key.rstrip("_") for key in written]
        if len(kinds) != 1:
            named = " and ".join(f"`{kind}`" for kind in kinds) or "none"
            self._report.error(path, f"a step has exactly one key, this one has {named}", "Begin each with `- `.")
            return None
        kind, body = kinds[0], next(iter(written.values()))
        path = (*path, kind)
        if kind == "charset":
            return Step(kind=kind)
        if kind == "remove_private":
            if body is False:
                self._report.error(path, "`remove_private: false` does nothing", "Leave the step out.")
                return None
            return Step(kind=kind, keep=() if body is True else tuple(body))
        if kind == "copy":
            return self._copy(path, body.from_, body.to)
        tag = self._tag((*path, "tag"), body.tag)
        if tag is None or not self._may(path, Step(kind=kind, tag=tag), vr_of(tag)):
            return None
        if kind == "map":
            return self._map(path, tag, body)
        if kind == "regex":
            return self._regex(path, tag, body.pattern, body.replace)
        value = getattr(body, "value", "")
        if kind == "prefix" and not value:
            self._report.error((*path, "value"), "a prefix has at least one character")
        self._fits((*path, "value"), tag, value)
        return Step(kind=kind, tag=tag, value=value)

    def _tag(self, path: Path, name: str) -> int | None:
        tag = tag_of(name)
        if tag is None:
            meant = nearest(name, list(keywords()))
            hint = f"Did you mean `{meant}`?" if meant else "Write a keyword of the DICOM dictionary, or (gggg,eeee)."
            self._report.error(path, f"there is no attribute `{name}`", hint)
        return tag

    def _may(self, path: Path, step: Step, vr: str) -> bool:
        """Whether this kind of step can be done to an attribute of this VR."""
        why = forbidden(step)
        allowed = {
            "hash": HASHED.keys() | {"UI"},
            "regex": TEXTS,
            "prefix": _PREFIXED,
        }.get(step.kind, TEXTS | NUMBERS.keys())
        if not why and step.kind != "remove" and vr not in allowed:
            known = f"its VR {vr} cannot" if vr else "its VR is not known; it can only be removed, so it cannot"
            why = f"{known} take part in `{step.kind}`"
        if why:
            self._report.error((*path, "to" if step.to else "tag"), f"this attribute cannot be changed so: {why}")
        return not why

    def _copy(self, path: Path, source: str, target: str) -> Step | None:
        tag, to = self._tag((*path, "from"), source), self._tag((*path, "to"), target)
        if tag is None or to is None:
            return None
        step = Step(kind="copy", tag=tag, to=to)
        if vr_of(tag) not in TEXTS | NUMBERS.keys():
            self._report.error((*path, "from"), "this attribute cannot be copied: it holds no text and no numbers")
            return None
        return step if self._may(path, step, vr_of(to)) else None

    def _map(self, path: Path, tag: int, body: MapModel) -> Step:
        for old, new in body.table.items():
            self._fits((*path, "table", old), tag, new)
        otherwise = body.otherwise if body.otherwise in _OTHERWISE else "set"
        if otherwise == "set":
            self._fits((*path, "otherwise"), tag, body.otherwise)
        value = body.otherwise if otherwise == "set" else ""
        return Step(kind="map", tag=tag, table=tuple(body.table.items()), otherwise=otherwise, value=value)

    def _regex(self, path: Path, tag: int, pattern: str, replace: str) -> Step:
        try:
            compile_pattern(pattern, replace)
        except BadPattern as error:
            self._report.error((*path, "pattern"), f"this pattern cannot be used: {error}")
        return Step(kind="regex", tag=tag, pattern=pattern, value=replace)

    def _fits(self, path: Path, tag: int, value: str) -> None:
        vr = vr_of(tag)
        if vr and (words := wrong_text(vr, value)):
            self._report.error(path, f"a value of VR {vr} must be {words}")
