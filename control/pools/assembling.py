"""A site's pools as its manager gets them: what the policy asks for, the nodes there are, what people said. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mesh.pools import AddressesModel, MemberModel, PoolModel, PoolsDocument


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """What people at the centre last said of a node."""

    state: str
    weight: int | None
    since: int
    deadline: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A node of the site that was not revoked, and where balancers reach it."""

    name: str
    addresses: Mapping[str, str]


def pools_of(asked: Sequence[PoolModel], boxes: Sequence[Box], words: Mapping[str, Word]) -> tuple[PoolModel, ...]:
    """Each pool with the boxes as its members, by name: one that joins the site is in, one that is gone is not.

    What the policy says of a member (share, limit) holds for it; what it says of a node that is not there waits for it.
    A silent box stays: HAProxy's checks know better than a WAN whether it works.
    """
    return tuple(
        pool.model_copy(
            update={
                "members": [
                    _member(next((one for one in pool.members if one.node == box.name), None), box, words.get(box.name))
                    for box in sorted(boxes, key=lambda box: box.name)
                    if box.addresses
                ]
            }
        )
        for pool in asked
    )


def _member(asked: MemberModel | None, box: Box, word: Word | None) -> MemberModel:
    own = {name: box.addresses.get(name) or None for name in AddressesModel.model_fields}
    facts = {**(asked or MemberModel(node=box.name)).model_dump(), "addresses": own}
    if word is not None:
        facts |= {"state": word.state, "since": word.since, "deadline": word.deadline}
        facts |= {} if word.weight is None else {"weight": word.weight}
    return MemberModel.model_validate(facts)


def document_of(site: str, order: int, pools: Sequence[PoolModel]) -> bytes:
    """What is signed and sent: the same facts give the same bytes."""
    document = PoolsDocument(skerry_pools=1, site=site, order=order, pools=list(pools))
    return _plain(document.model_dump(by_alias=True, mode="json"))


def fingerprint(site: str, pools: Sequence[PoolModel]) -> str:
    """SHA-256 in hex of what the pools ask for: another one is worth another order."""
    return hashlib.sha256(document_of(site, 0, pools)).hexdigest()


def _plain(facts: object) -> bytes:
    return json.dumps(facts, sort_keys=True, separators=(",", ":")).encode()
