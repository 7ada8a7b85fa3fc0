"""The first of two checks: does the document have the shape of format 1? What pydantic found, told in plain words."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from edge.errors import Diagnostic
from edge.policy.schema import (
    FORMAT,
    DicomDestinationModel,
    FolderDestinationModel,
    PolicyModel,
    PrivacyModel,
    RetentionModel,
    RouteModel,
)
from edge.policy.schema_budgets import BudgetModel
from edge.policy.schema_destinations import KINDS, DicomWebDestinationModel, S3DestinationModel
from edge.policy.schema_groups import BalanceModel, FailoverModel
from edge.policy.schema_tls import TlsModel
from edge.policy.schema_transforms import (
    CopyModel,
    MapModel,
    RegexModel,
    SetModel,
    StepModel,
    TagModel,
    TransformModel,
)
from edge.policy.schema_waiting import WaitModel
from edge.policy.schema_window import WindowModel
from edge.policy.wording import nearest
from edge.policy.yaml_text import Mapping, Node, Scalar, Sequence
from mesh.pools import (
    AddressesModel,
    ListenerModel,
    MaintenanceModel,
    MemberModel,
    PoolModel,
    SharedAddressModel,
)

_ITEMS = {
    "to": "the name of a destination",
    "share": "the keyword of an attribute",
    "pseudonymise": "the keyword of an attribute",
    "transforms": "the name of a transform",
    "members": "the name of a destination",
    "remove_private": "a text, the name of a creator",
    "networks": "a network, such as 10.1.0.0/16",
    "hosts": "an address",
    "days": "a day, such as sun",
}
_PLACE = re.compile(r"\[[0-9]+\]")
_KINDS = ("dicom", "folder", "dicomweb", "s3", "failover", "balance")
_MODELS: dict[str, type[BaseModel]] = {
    "dicom": DicomDestinationModel,
    "folder": FolderDestinationModel,
    "dicomweb": DicomWebDestinationModel,
    "s3": S3DestinationModel,
    "failover": FailoverModel,
    "balance": BalanceModel,
    "destinations.dicom": DicomDestinationModel,
    "destinations.tls": TlsModel,
    "destinations.window": WindowModel,
    "budgets": BudgetModel,
    "pools": PoolModel,
    "pools.listeners": ListenerModel,
    "pools.members": MemberModel,
    "pools.members.addresses": AddressesModel,
    "pools.maintenance": MaintenanceModel,
    "pools.shared_address": SharedAddressModel,
    "routes": RouteModel,
    "routes.wait": WaitModel,
    "retention": RetentionModel,
    "privacy": PrivacyModel,
    "transforms": TransformModel,
    "transforms.steps": StepModel,
    **{f"transforms.steps.{kind}": TagModel for kind in ("remove", "hash")},
    **{f"transforms.steps.{kind}": SetModel for kind in ("set", "prefix")},
    "transforms.steps.copy": CopyModel,
    "transforms.steps.map": MapModel,
    "transforms.steps.regex": RegexModel,
    "": PolicyModel,
}


def check_shape(root: Node) -> PolicyModel | tuple[Diagnostic, ...]:
    """Give the document as a model, or everything that is wrong with its shape."""
    wrong_start = _wrong_start(root)
    if wrong_start:
        return (wrong_start,)
    try:
        return PolicyModel.model_validate(root.plain())
    except ValidationError as error:
        return tuple(_diagnostics(root, error))


def _wrong_start(root: Node) -> Diagnostic | None:
    if not isinstance(root, Mapping):
        hint = "Begin with `skerry: 1`; docs/policy.md has examples."
        return _at(root, f"a policy is a group of keys, not {root.reads_as}", hint)
    _, version = root.entries.get("skerry", (None, None))
    if not isinstance(version, Scalar) or version.reads_as != "a number" or version.value == FORMAT:
        return None
    hint = f"Write `skerry: {FORMAT}`, or update this program."
    return _at(version, f"document format {version.text} is unknown; this program reads format {FORMAT}", hint)


def _diagnostics(root: Node, error: ValidationError) -> Iterator[Diagnostic]:
    found_errors = error.errors(include_url=False, include_context=False, include_input=False)
    misspelt = {
        (*e["loc"][:-1], nearest(str(e["loc"][-1]), tuple(_fields(_find(root, e["loc"])[2]))))
        for e in found_errors
        if e["type"] == "extra_forbidden"
    }
    for found in found_errors:
        node, path, model = _find(root, found["loc"])
        kind = found["type"]
        leaf = str(found["loc"][-1]) if found["loc"] else ""
        if kind == "missing":
            if found["loc"] not in misspelt:
                yield _missing(node, path, leaf, model)
        elif kind == "extra_forbidden":
            parent, parent_path, _ = _find(root, found["loc"][:-1])
            yield _unknown_key(parent, parent_path, leaf, model)
        elif kind in {"union_tag_not_found", "union_tag_invalid"}:
            yield _unknown_kind(node)
        else:
            yield _wrong_value(node, path, _description(model, found["loc"]))


def _find(root: Node, loc: tuple[int | str, ...]) -> tuple[Node, str, type[BaseModel]]:
    """The node nearest to a location, the path to it in words, and the model that describes its keys."""
    node, path, model = root, "", _MODELS[""]
    for step in loc:
        if step in _KINDS and isinstance(node, Mapping) and step not in node.entries:
            model = _MODELS[str(step)]
        elif isinstance(node, Mapping) and str(step) in node.entries:
            node = node.entries[str(step)][1]
            path = f"{path}.{step}" if path else str(step)
            model = _MODELS.get(_PLACE.sub("", path), model)
        elif isinstance(node, Sequence) and isinstance(step, int) and step < len(node.items):
            node = node.items[step]
            path = f"{path}[{step + 1}]"
    return node, path, model


def _missing(node: Node, path: str, leaf: str, model: type[BaseModel]) -> Diagnostic:
    described = _description(model, (leaf,))
    where = f" in {path}" if path else ""
    return _at(node, f"`{leaf}` is missing{where}", f"It must be {described}." if described else "")


def _unknown_key(parent: Node, path: str, leaf: str, model: type[BaseModel]) -> Diagnostic:
    known = tuple(_fields(model))
    meant = nearest(leaf, known)
    hint = f"Did you mean `{meant}`?" if meant else f"Known keys: {', '.join(known)}."
    message = f"unknown key `{leaf}`" + (f" in {path}" if path else "")
    key = parent.entries[leaf][0] if isinstance(parent, Mapping) and leaf in parent.entries else parent
    return _at(key, message, hint)


def _unknown_kind(node: Node) -> Diagnostic:
    if isinstance(node, Mapping) and "kind" in node.entries:
        value = node.entries["kind"][1]
        written = value.text if isinstance(value, Scalar) else value.reads_as
        meant = nearest(written, _KINDS)
        hint = f"Did you mean `{meant}`?" if meant else f"It must be {KINDS}."
        return _at(value, f"unknown kind of destination `{written}`", hint)
    return _at(node, "`kind` is missing in this destination", f"It must be {KINDS}.")


def _wrong_value(node: Node, path: str, description: str) -> Diagnostic:
    field = path.rpartition(".")[2] or "the document"
    message = f"`{field}` must be {description}" if description else f"`{field}` has an unexpected value"
    if not isinstance(node, Scalar):
        return _at(node, message, f"Here stands {node.reads_as}.")
    if node.reads_as == "text":
        unquoted = node.style is not None and node.text.isdecimal() and "number" in description
        return _at(node, message, f"Write it without quotes: {node.text}." if unquoted else "")
    hint = f"YAML reads this as {node.reads_as}"
    if node.text.isdecimal() and field == "keep_delivered":
        return _at(node, message, f"{hint}; give it a unit: {node.text}h or {node.text}d.")
    if node.text and node.style is None and "number" not in description:
        return _at(node, message, f'{hint}; if it is meant as text, write it in quotes: "{node.text}".')
    return _at(node, message, f"{hint}.")


def _description(model: type[BaseModel], loc: tuple[int | str, ...]) -> str:
    names = [step for step in loc if isinstance(step, str) and step in _fields(model)]
    if loc and isinstance(loc[-1], int):  # an item of a list
        return _ITEMS.get(names[-1] if names else "", "a group of keys")
    if not names:
        names = [step for step in loc if isinstance(step, str)]
        model = _MODELS.get(".".join(names[:-1]), PolicyModel)
    field = _fields(model).get(names[-1]) if names else None
    return (field.description if field else None) or ""


def _fields(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """The fields by the names that they have in a document."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _at(node: Node, message: str, hint: str = "") -> Diagnostic:
    return Diagnostic(severity="error", line=node.line, column=node.column, message=message, hint=hint)
