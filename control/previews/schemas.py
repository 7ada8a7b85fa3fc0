"""What a preview looks like over REST."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel

from control.previews.service import Preview
from control.previews.tally import Difference, StudyDifference


class PreviewedStudy(BaseModel):
    """What would be different for one study of one site. The numbers are of its images."""

    site: str
    study_instance_uid: str
    instances: int
    changed: int
    nowhere: int
    failed: int
    untold: int
    before: list[str]
    after: list[str]
    perhaps: list[str]
    unread: list[str]
    reasons: list[str]


class UnreadAttribute(BaseModel):
    """What the centre does not hold, and of how many studies it would decide something."""

    keyword: str
    studies: int


class PreviewItem(BaseModel):
    """What a policy would change. `changed`, `nowhere`, `failed` and `untold` count studies."""

    policy: str
    sites: list[str]
    since: datetime
    studies: int
    instances: int
    changed: int
    nowhere: int
    failed: int
    untold: int
    unread: list[UnreadAttribute]
    note: str
    """Why not all was looked at; empty when all was."""
    items: list[PreviewedStudy]


def preview_item(found: Preview) -> PreviewItem:
    """A preview as it is shown."""
    tally = found.tally
    return PreviewItem(
        policy=found.policy,
        sites=list(found.sites),
        since=found.since,
        studies=tally.studies,
        instances=tally.instances,
        **{one.value: tally.counts[one] for one in Difference},
        unread=[UnreadAttribute(keyword=key, studies=count) for key, count in tally.unread.most_common()],
        note=found.note,
        items=[_study(one) for one in tally.items],
    )


def _study(one: StudyDifference) -> PreviewedStudy:
    return PreviewedStudy(
        site=one.site,
        study_instance_uid=one.study_instance_uid,
        instances=one.instances,
        changed=one.changed,
        nowhere=one.nowhere,
        failed=one.failed,
        untold=one.untold,
        before=sorted(one.before),
        after=sorted(one.after),
        perhaps=sorted(one.perhaps),
        unread=sorted(one.unread),
        reasons=sorted(one.reasons),
    )
