"""What of an instance the control plane may learn."""

from __future__ import annotations

import hashlib
import hmac

from edge.model import TagSet, TagValue
from edge.policy.model import Policy


def shared_tags(policy: Policy, tags: TagSet, key: bytes) -> dict[str, str]:
    """Only the tags that the privacy rule lets out, as text; several values are joined by a backslash.

    Pseudonymised ones are the first 32 hex digits of HMAC-SHA-256 of that text with the site's key: the same patient
    gives the same word within a site, and nobody without the key can search for one. The UIDs in the fields of
    their own of an event (`study_instance_uid` …) must go through `shared_uid`.
    """
    shared = {}
    for keyword, value in tags.values.items():
        text = _text(value)
        if keyword in policy.privacy.pseudonymise:
            shared[keyword] = _pseudonym(text, key)
        elif keyword in policy.privacy.share:
            shared[keyword] = text
    return shared


def shared_uid(policy: Policy, keyword: str, value: str, key: bytes) -> str:
    """The UID as it may leave the site: itself, its pseudonym, or the empty text when the rule keeps it.

    For `SOPClassUID`, `SOPInstanceUID`, `StudyInstanceUID` and `SeriesInstanceUID`, wherever they travel outside
    `shared_tags`; both give the same word for the same value.
    """
    if not value:
        return ""
    if keyword in policy.privacy.pseudonymise:
        return _pseudonym(value, key)
    return value if keyword in policy.privacy.share else ""


def _text(value: TagValue) -> str:
    return "\\".join(value) if isinstance(value, tuple) else str(value)


def _pseudonym(text: str, key: bytes) -> str:
    return hmac.new(key, text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[:32]
