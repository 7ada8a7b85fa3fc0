"""What accounts look like over REST."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict

from control.reconciliation.account import SHOWN, Account


class StudyAccountItem(BaseModel):
    """A study that is not settled."""

    model_config = ConfigDict(from_attributes=True)

    study_instance_uid: str
    received: int
    unrouted: int
    delivered: int
    waiting: int
    for_a_person: int
    ended: int


class AccountItem(BaseModel):
    """The account of a site. The sums count every study, also those that the list leaves out."""

    model_config = ConfigDict(from_attributes=True)

    site: str
    since: datetime
    until: datetime
    last_heard_at: datetime | None
    silent_nodes: int
    verdict: str
    is_settled: bool
    studies: int
    received: int
    unrouted: int
    delivered: int
    waiting: int
    for_a_person: int
    ended: int
    open_studies: list[StudyAccountItem]
    left_out: int
    """Open studies that are not in the list."""


def account_item(account: Account) -> AccountItem:
    """An account as it is shown."""
    shown = [StudyAccountItem.model_validate(one) for one in account.open_studies[:SHOWN]]
    sums = {
        name: getattr(account, name) for name in AccountItem.model_fields if name not in {"open_studies", "left_out"}
    }
    return AccountItem(**sums, open_studies=shown, left_out=max(0, len(account.open_studies) - SHOWN))
