"""Where is my study? Answers from what the nodes told, and says how old that is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Protocol, TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

from control.db.session import Database
from control.errors import UnknownStudy
from control.fleet.ages import SiteAgeItem
from control.fleet.heard import AgeService
from control.principals import Scope, within
from control.studies import repository
from control.studies.assemble import reception_item, study_item
from control.studies.query import StudyPlace, StudyQuery
from control.studies.receptions import ReceptionPlace, ReceptionQuery, receptions
from control.studies.schemas import ReceptionItem, StudyItem
from control.studies.tallies import Tallies, tally


class StudyService:
    """Searches studies and traces one."""

    def __init__(self, database: Database, ages: AgeService) -> None:
        self._database = database
        self._ages = ages

    async def search(self, query: StudyQuery) -> tuple[Sequence[StudyItem], StudyPlace | None, list[SiteAgeItem]]:
        """One page, where the next one starts, and the age of every site's last word."""
        async with self._database.snapshot() as session:
            found = await repository.page(session, query)
            items = await _items(session, [one.study_instance_uid for one in found], _seen(query.within))
            heard = await self._heard(session, query.within)
        return items, found[-1] if len(found) == query.limit else None, heard

    async def receptions(
        self, query: ReceptionQuery
    ) -> tuple[list[ReceptionItem], ReceptionPlace | None, list[SiteAgeItem]]:
        """One page of receptions, where the next one starts, and the age of every site's last word."""
        async with self._database.snapshot() as session:
            items, place = await self._receptions(session, query)
            return items, place, await self._heard(session, query.within)

    async def trace(
        self, query: ReceptionQuery, study_instance_uid: str
    ) -> tuple[StudyItem, list[ReceptionItem], ReceptionPlace | None, list[SiteAgeItem]]:
        """A study, one page of the receptions of its objects, and the age of every site's last word.

        Raises:
            UnknownStudy
        """
        asked = StudyQuery(study_instance_uid=study_instance_uid, within=query.within, limit=1)
        async with self._database.snapshot() as session:
            if not await repository.page(session, asked):
                raise UnknownStudy
            study = (await _items(session, [study_instance_uid], _seen(query.within)))[0]
            items, place = await self._receptions(session, query)
            return study, items, place, await self._heard(session, query.within)

    async def _receptions(
        self, session: AsyncSession, query: ReceptionQuery
    ) -> tuple[list[ReceptionItem], ReceptionPlace | None]:
        found = await receptions(session, query)
        names = await self._ages.node_names(session, sorted({one.instance.node_id for one in found}))
        place = None
        if len(found) == query.limit:
            last = found[-1].instance
            place = ReceptionPlace(listed_at=last.listed_at, node_id=last.node_id, instance_id=last.instance_id)
        return [reception_item(one, names) for one in found], place

    async def _heard(self, session: AsyncSession, scope: Scope) -> list[SiteAgeItem]:
        ages = await self._ages.of_all_sites(session)
        return [SiteAgeItem.model_construct(**age._asdict()) for age in ages if within(scope, age.site)]


def _seen(scope: Scope) -> tuple[str, ...] | None:
    return None if scope is None else tuple(sorted(scope))


async def _items(session: AsyncSession, studies: Sequence[str], seen: tuple[str, ...] | None) -> Sequence[StudyItem]:
    """These studies, in this order, with a fixed number of queries."""
    if not studies:
        return []
    sites = _by_study(await repository.sites_of(session, studies, seen))
    modalities: dict[str, list[str]] = defaultdict(list)
    for uid, modality in await repository.modalities_of(session, studies, seen):
        modalities[uid].append(modality)
    counts = await _counts(session, studies, seen)
    objects, destinations = _by_study(counts.objects), _by_study(counts.destinations)
    return [
        study_item(
            uid,
            sites=sites[uid],
            modalities=list(dict.fromkeys(modalities[uid])),
            objects=objects[uid],
            destinations=destinations[uid],
            received=counts.received,
        )
        for uid in studies
    ]


async def _counts(session: AsyncSession, studies: Sequence[str], seen: tuple[str, ...] | None) -> Tallies:
    """Sums where they tell everything; the other studies are counted object by object."""
    counts = tally(
        await repository.reception_counts(session, studies, seen),
        await repository.delivery_counts(session, studies, seen),
    )
    others = [uid for uid in studies if uid not in counts.plain]
    if others:
        counts.objects += await repository.object_counts(session, others, seen)
        counts.destinations += await repository.destination_counts(session, others, seen)
        counts.received |= await repository.site_counts(session, others, seen)
    return counts


class _OfStudy(Protocol):
    @property
    def study_instance_uid(self) -> str: ...


T = TypeVar("T", bound=_OfStudy)


def _by_study(rows: Sequence[T]) -> dict[str, list[T]]:
    found: dict[str, list[T]] = defaultdict(list)
    for one in rows:
        found[one.study_instance_uid].append(one)
    return found
