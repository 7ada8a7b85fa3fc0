"""What an object store's error means for a delivery (pure)."""

from __future__ import annotations

from edge.forward.base import DestinationDown, Outcome, Refused, TryLater

_KEYS = "Check the access key, its secret and what they may do in the bucket."
_HINTS = {
    "NoSuchBucket": ("the bucket is not there", "Create it, or check `bucket`, `region` and `endpoint`."),
    "AccessDenied": ("it does not let us in", _KEYS),
    "403": ("it does not let us in", _KEYS),
    "AllAccessDisabled": ("it does not let us in", _KEYS),
    "InvalidAccessKeyId": ("it does not know our access key", _KEYS),
    "SignatureDoesNotMatch": ("it does not believe our secret key", _KEYS),
    "ExpiredToken": ("our token is too old", "Write a new one into the credentials."),
    "RequestTimeTooSkewed": ("its clock and ours differ too much", "Set the clock of this machine by NTP."),
    "PermanentRedirect": ("the bucket lies in another region", "Write that region into `region`."),
    "AuthorizationHeaderMalformed": ("the bucket lies in another region", "Write that region into `region`."),
    "SlowDown": ("it is asked too often", "It is tried again by itself."),
    "ServiceUnavailable": ("it is not available", "It is tried again by itself."),
    "503": ("it is not available", "It is tried again by itself."),
    "429": ("it is asked too often", "It is tried again by itself."),
}
_REFUSALS = {
    "EntityTooLarge": "the instance is too large for it",
    "KeyTooLongError": "its name is too long",
    "InvalidObjectState": "it stands in the way as an archived object",
}


def outcome_of_error(code: str, status: int) -> Outcome:
    """What becomes of the instance that met this error.

    Raises:
        DestinationDown: the error speaks of the service and not of the instance.
    """
    for key in (code, str(status)):
        if key in _HINTS:
            words, hint = _HINTS[key]
            raise DestinationDown(f"{words} ({_plain(code)})", hint=hint)
    if 300 <= status < 400:
        raise DestinationDown(f"it lies elsewhere ({status})", hint="Check `endpoint` and `region`.")
    words = f"the destination answered {_plain(code)}"
    if code in _REFUSALS:
        return Refused(reason=f"{words}: {_REFUSALS[code]}", status=status)
    if status == 413:
        return Refused(reason=f"{words}: {_REFUSALS['EntityTooLarge']}", status=status)
    return TryLater(reason=words, status=status)


def _plain(code: str) -> str:
    """Somebody else's word, fit for a sentence."""
    return "".join(one for one in code[:64] if one.isalnum()) or "an error without a name"
