"""What groups, layers and effective policies look like over REST."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from control.names import NAME
from control.policies.board import Place
from control.scopes.drift import Drift
from control.scopes.facts import LayerFacts
from control.scopes.seen import Difference, EffectiveFacts

Name = Annotated[str, Field(pattern=f"^{NAME.pattern}$")]


class NewGroup(BaseModel):
    """A group to add."""

    model_config = ConfigDict(extra="forbid")

    name: Name


class Member(BaseModel):
    """A site to put into a group, or to take out."""

    model_config = ConfigDict(extra="forbid")

    site: Name


class GroupItem(BaseModel):
    """A group of sites."""

    model_config = ConfigDict(from_attributes=True)

    name: str
    sites: list[str]


class Groups(BaseModel):
    """All groups by name."""

    items: list[GroupItem]


class LayerFindingItem(BaseModel):
    """Something about one place in one layer, and whose policy it concerns."""

    severity: str
    layer: str
    line: int
    column: int
    message: str
    hint: str
    of: list[str]


class LayerItem(BaseModel):
    """One version of a layer. `sites` and `changed` are of the upload or publication just made."""

    scope: str
    version: int
    sha256: str
    created_at: datetime
    created_by: str
    active: bool
    sites: list[str]
    changed: list[str]
    warnings: list[LayerFindingItem]


def layer_item(facts: LayerFacts) -> LayerItem:
    """A layer as it is shown."""
    return LayerItem(
        scope=facts.scope,
        version=facts.version,
        sha256=facts.sha256,
        created_at=facts.created_at,
        created_by=facts.created_by,
        active=facts.active,
        sites=list(facts.sites),
        changed=list(facts.changed),
        warnings=[LayerFindingItem.model_validate(one.document()) for one in facts.warnings],
    )


class OriginItem(BaseModel):
    """Which layer an entry is from, and which layers above said something else."""

    model_config = ConfigDict(from_attributes=True)

    entry: str
    layer: str
    line: int
    before: list[str]


class PlaceItem(BaseModel):
    """A policy's place in the order."""

    generation: int
    version: int


def place_item(place: Place | None) -> PlaceItem | None:
    """A place as it is shown."""
    return PlaceItem(generation=place[0], version=place[1]) if place is not None else None


class EffectiveItem(BaseModel):
    """What a site or node is to run. `published`: what it was given is this very text."""

    site: str
    node_id: str
    layers: list[str]
    document: str
    origins: list[OriginItem]
    place: PlaceItem | None
    published: bool


def effective_item(facts: EffectiveFacts) -> EffectiveItem:
    """An effective policy as it is shown."""
    return EffectiveItem(
        site=facts.site,
        node_id=facts.node_id,
        layers=list(facts.layers),
        document=facts.document.decode("utf-8", "replace"),
        origins=[OriginItem.model_validate(one) for one in facts.origins],
        place=place_item(facts.place),
        published=facts.published,
    )


class ChangeItem(BaseModel):
    """One entry that is not the same: added, removed, changed (with its fields) or moved."""

    kind: str
    entry: str
    fields: list[str]


class DifferenceItem(BaseModel):
    """What two versions have different, by entry and as text."""

    before: str
    after: str
    changes: list[ChangeItem]
    text: str


def difference_item(found: Difference) -> DifferenceItem:
    """A difference as it is shown."""
    return DifferenceItem(
        before=found.before,
        after=found.after,
        changes=[ChangeItem(kind=one.what, entry=one.where, fields=one.fields()) for one in found.changes],
        text=found.text,
    )


class DriftItem(BaseModel):
    """Something that does not run as it shall. Without a node: a site that layers are over."""

    site: str
    node_id: str
    node_name: str
    why: str
    text: str
    since: datetime | None
    wanted: PlaceItem | None
    wanted_sha256: str
    active: PlaceItem | None
    active_sha256: str


class DriftList(BaseModel):
    """All that does not run as it shall, by site."""

    items: list[DriftItem]


def drift_item(drift: Drift) -> DriftItem:
    """A drift as it is shown."""
    return DriftItem(
        site=drift.site,
        node_id=drift.node_id,
        node_name=drift.node_name,
        why=drift.why,
        text=drift.text,
        since=drift.since,
        wanted=place_item(drift.wanted),
        wanted_sha256=drift.wanted_sha256,
        active=place_item(drift.active),
        active_sha256=drift.active_sha256,
    )
