"""From a policy's YAML text to a policy that may run, or to diagnostics that say where and what to mend."""

from __future__ import annotations

import hashlib

from edge.errors import Diagnostic, PolicyError
from edge.policy.abilities import check_codecs
from edge.policy.itself import Leads, by_text_alone, check_itself
from edge.policy.meaning import Meaning
from edge.policy.model import Policy, Privacy, Route
from edge.policy.shape import check_shape
from edge.policy.yaml_text import MAX_BYTES, NotYaml, read_yaml

__all__ = ["Diagnostic", "Policy", "PolicyError", "Privacy", "Route", "check_policy", "load_policy", "render"]


def load_policy(document: str | bytes) -> Policy:
    """Give the policy that a document means. Raises PolicyError with its diagnostics when it must not run.

    Warnings do not stop it. The label is `local:` and the first 12 hex digits of the document's SHA-256.
    """
    policy, diagnostics = _read(document)
    errors = tuple(d for d in diagnostics if d.severity == "error")
    if policy is None or errors:
        raise PolicyError(_summary(errors), diagnostics=diagnostics)
    return policy


def check_policy(
    document: str | bytes, *, listen: str = "", http: str = "", leads: Leads = by_text_alone, codecs: bool = True
) -> tuple[Diagnostic, ...]:
    """Everything that is wrong or doubtful, in the order of the file; empty when there is nothing to say.

    `listen` and `http` are each HOST:PORT of the node that would run it, when they are known: no destination may be
    that node. `leads` knows where a name leads; `codecs` is whether that node can decompress.
    """
    return _read(document, tuple(filter(None, (listen, http))), leads, codecs=codecs)[1]


def render(diagnostics: tuple[Diagnostic, ...], name: str) -> str:
    """The diagnostics as text for a terminal, one finding and perhaps a hint each; empty when there are none."""
    lines = []
    for d in diagnostics:
        place = f"{name}:{d.line}:{d.column}" if d.line else name
        lines.append(f"{place}: {d.severity}: {d.message}")
        if d.hint:
            lines.append(f"    {d.hint}")
    return "\n".join(lines)


def _read(
    document: str | bytes, doors: tuple[str, ...] = (), leads: Leads = by_text_alone, *, codecs: bool = True
) -> tuple[Policy | None, tuple[Diagnostic, ...]]:
    raw = document if isinstance(document, bytes) else document.encode("utf-8", "surrogatepass")
    if len(raw) > MAX_BYTES:
        return None, (_error(1, 1, f"the document is larger than {MAX_BYTES} bytes", "A policy is a short text."),)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        return None, (_not_utf8(raw, error.start),)
    # One newline convention, so that lines count alike everywhere.
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    try:
        root = read_yaml(text)
    except NotYaml as error:
        return None, (_error(error.line, error.column, str(error), error.hint),)
    model = check_shape(root)
    if isinstance(model, tuple):
        return None, _in_order(model)
    meaning = Meaning(text, root, model)
    policy = meaning.policy(f"local:{hashlib.sha256(raw).hexdigest()[:12]}")
    lacking = () if codecs else check_codecs(root, policy.destinations)
    found = (*meaning.diagnostics, *check_itself(root, policy.destinations, doors, leads), *lacking)
    return policy, _in_order(found)


def _in_order(diagnostics: tuple[Diagnostic, ...]) -> tuple[Diagnostic, ...]:
    return tuple(sorted(dict.fromkeys(diagnostics), key=lambda d: (d.line, d.column)))


def _not_utf8(raw: bytes, offset: int) -> Diagnostic:
    line_start = raw.rfind(b"\n", 0, offset) + 1
    column = len(raw[line_start:offset].decode("utf-8", "replace")) + 1
    hint = "Save the file as UTF-8."
    return _error(raw.count(b"\n", 0, offset) + 1, column, "this byte is not UTF-8 text", hint)


def _error(line: int, column: int, message: str, hint: str) -> Diagnostic:
    return Diagnostic(severity="error", line=line, column=column, message=message, hint=hint)


def _summary(errors: tuple[Diagnostic, ...]) -> str:
    first = errors[0]
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return f"line {first.line}, column {first.column}: {first.message}{more}"
