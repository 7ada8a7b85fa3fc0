"""What a policy document would mean, said by the edge's own code: a second reader could disagree with the first."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from edge.policy.document import Policy, PolicyError, check_policy, load_policy
from mesh.pools import PoolModel


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something about one place in the document."""

    severity: str
    """`error` (must not run) or `warning`."""
    line: int
    column: int
    message: str
    hint: str


def check_document(document: bytes) -> Sequence[Finding]:
    """Everything that is wrong or odd in a document. Total: whatever the bytes are, it answers."""
    try:
        text = document.decode("utf-8")
    except UnicodeDecodeError as error:
        line = document.count(b"\n", 0, error.start) + 1
        column = error.start - (document.rfind(b"\n", 0, error.start) + 1) + 1
        return (
            Finding(
                severity="error",
                line=line,
                column=column,
                message="The document is not UTF-8 text.",
                hint="Save the file as UTF-8.",
            ),
        )
    return tuple(
        Finding(severity=one.severity, line=one.line, column=one.column, message=one.message, hint=one.hint)
        for one in check_policy(text)
    )


def pools_in(document: bytes) -> Sequence[PoolModel]:
    """The HAProxy pools that a policy asks for; none in one that does not read."""
    try:
        return load_policy(document).pools
    except PolicyError:
        return ()


PRIVACY_RULE = re.compile(rb"^privacy[ \t]*:", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewlyShown:
    """Attributes of which a policy tells the centre more than the one before."""

    kept_back: tuple[str, ...] = ()
    pseudonymised: tuple[str, ...] = ()


def newly_shown(before: bytes, after: bytes) -> NewlyShown:
    """What the centre will see that the policy before kept back or pseudonymised. A pseudonym is less than the value.

    A document that no longer reads as a policy shows nothing and hid nothing.
    """
    try:
        old, new = load_policy(before), load_policy(after)
    except PolicyError:
        return NewlyShown()
    more = [keyword for keyword in sorted(_named(new)) if _sight(new, keyword) > _sight(old, keyword)]
    return NewlyShown(
        kept_back=tuple(one for one in more if _sight(old, one) == 0),
        pseudonymised=tuple(one for one in more if _sight(old, one) == 1),
    )


def reveals(before: bytes, after: bytes, *, before_version: int) -> tuple[Finding, ...]:
    """A warning with the attributes that a policy newly shows the centre, or nothing."""
    shown = newly_shown(before, after)
    words = [
        f"version {before_version} {hid}: {', '.join(keywords)}"
        for hid, keywords in (("kept back", shown.kept_back), ("pseudonymised", shown.pseudonymised))
        if keywords
    ]
    if not words:
        return ()
    rule = PRIVACY_RULE.search(after)
    return (
        Finding(
            severity="warning",
            line=after.count(b"\n", 0, rule.start()) + 1 if rule else 1,
            column=1,
            message=f"the centre sees more of new images than before; {'; '.join(words)}",
            hint=f"If that is not meant, go back: skerry-control policy activate SITE {before_version}.",
        ),
    )


def _named(policy: Policy) -> frozenset[str]:
    return policy.privacy.share | policy.privacy.pseudonymise


def _sight(policy: Policy, keyword: str) -> int:
    """0 nothing, 1 a pseudonym, 2 the value."""
    if keyword in policy.privacy.pseudonymise:
        return 1
    return 2 if keyword in policy.privacy.share else 0
