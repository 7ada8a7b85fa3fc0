"""One reception, as the node that holds the object told it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple


class RouteReason(NamedTuple):
    """Why one route took the object, or did not."""

    route: str
    matched: bool
    reason: str


class ReceivedInstance(NamedTuple):
    """A node has taken custody of one object. Says nothing about its delivery.

    A tuple, because fifteen thousand of them are made in a second when sites come back from an outage.
    """

    node_id: str
    site: str
    epoch: str
    """The node's outbox epoch, 16 hex digits."""
    sequence: int
    occurred_at: datetime
    instance_id: str
    """The node's own id of this reception: two receptions of one SOP instance have two."""
    sop_class_uid: str
    sop_instance_uid: str
    study_instance_uid: str
    series_instance_uid: str
    transfer_syntax_uid: str
    data_set_bytes: int
    calling_ae_title: str
    called_ae_title: str
    peer_address: str
    received_at: datetime
    tags: Mapping[str, str]
    """Only what the site's privacy rule lets out."""
    flags: tuple[str, ...]
    policy: str
    reasons: tuple[RouteReason, ...]
    destinations: tuple[str, ...]
