"""Where is my study? Answers from what the nodes told, and says how old that is."""

from __future__ import annotations

from collections.abc import Sequence

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
        place = None
        if len(found) == query.limit:
            place = StudyPlace(listed_at=found[-1].listed_at, study_instance_uid=found[-1].study_instance_uid)
        return items, place, heard

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
        return [SiteAgeItem.model_validate(age) for age in ages if within(scope, age.site)]


def _seen(scope: Scope) -> tuple[str, ...] | None:
    return None if scope is None else tuple(sorted(scope))


async def _items(session: AsyncSession, studies: Sequence[str], seen: tuple[str, ...] | None) -> Sequence[StudyItem]:
    """These studies, in this order, with a fixed number of queries."""
    sites = await repository.sites_of(session, studies, seen)
    modalities = await repository.modalities_of(session, studies, seen)
    objects = await repository.object_counts(session, studies, seen)
    destinations = await repository.destination_counts(session, studies, seen)
    received = await repository.site_counts(session, studies, seen)
    return [
        study_item(
            uid,
            sites=[one for one in sites if one.study_instance_uid == uid],
            modalities=list(dict.fromkeys(modality for study, modality in modalities if study == uid)),
            objects=[one for one in objects if one.study_instance_uid == uid],
            destinations=[one for one in destinations if one.study_instance_uid == uid],
            received=received,
        )
        for uid in studies
    ]
