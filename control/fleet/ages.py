"""How old the centre's knowledge of each site is. Stands beside every answer that a silent site could falsify."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict


class SiteAge(NamedTuple):
    """When a site was last heard of."""

    site: str
    state: str
    """`online`, `silent` (some node has not been heard of for three minutes), `never`, or `empty`: it has no nodes."""
    nodes: int
    silent_nodes: int
    last_heard_at: datetime | None
    age_seconds: int | None


class SiteAgeItem(BaseModel):
    """When a site was last heard of. What it did since then is not known here."""

    model_config = ConfigDict(from_attributes=True)

    site: str
    state: str
    nodes: int
    silent_nodes: int
    last_heard_at: datetime | None
    age_seconds: int | None


def site_age(*, site: str, nodes: int, silent_nodes: int, last_contact_at: datetime | None, now: datetime) -> SiteAge:
    """The age of one site's last word."""
    age = None if last_contact_at is None else max(0, int((now - last_contact_at).total_seconds()))
    if nodes == 0:
        state = "empty"
    elif last_contact_at is None:
        state = "never"
    else:
        state = "silent" if silent_nodes else "online"
    return SiteAge(
        site=site,
        state=state,
        nodes=nodes,
        silent_nodes=silent_nodes,
        last_heard_at=last_contact_at,
        age_seconds=age,
    )
