"""Whom a person means who asks a destination by C-ECHO (pure)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from edge.errors import SettingsError, UnknownInstance
from edge.model import DEFAULT_CALLING_AE_TITLE, SOURCE, Destination, DicomDestination, GroupDestination


def peers_of(name: str, known: Sequence[Destination]) -> Sequence[DicomDestination]:
    """The DICOM peers behind a name: a destination, a member of a group, or all members of one.

    Raises:
        UnknownInstance: nothing has this name.
        SettingsError: nobody behind it speaks DICOM.
    """
    members = [one for it in known for one in (it.members if isinstance(it, GroupDestination) else (it,))]
    found = [one for one in known if one.name == name] or [one for one in members if one.name == name]
    if not found:
        names = ", ".join(sorted({one.name for one in (*known, *members)})) or "there are none"
        raise UnknownInstance(f"no destination `{name}`", hint=f"Known: {names}.")
    (one, *_rest) = found
    asked = one.members if isinstance(one, GroupDestination) else (one,)
    peers = [peer for peer in asked if isinstance(peer, DicomDestination)]
    if not peers:
        raise SettingsError(
            f"`{name}` is no DICOM peer, so there is nobody to answer a C-ECHO",
            hint="`skerry-edge status` says how sending to it goes.",
        )
    return peers


def called_as(peer: DicomDestination, calling: str) -> DicomDestination:
    """Under the name that was asked for; who is called in the senders' names is asked in ours."""
    if not calling and peer.calling_ae_title == SOURCE:
        calling = DEFAULT_CALLING_AE_TITLE
    return replace(peer, calling_ae_title=calling) if calling else peer
