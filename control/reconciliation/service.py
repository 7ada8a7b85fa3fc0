"""The rules of accounts."""

from __future__ import annotations

from datetime import datetime

from control.clock import Clock
from control.db.session import Database
from control.errors import InvalidQuery, UnknownSite
from control.fleet.heard import AgeService
from control.reconciliation import repository
from control.reconciliation.account import Account, account_of


class ReconciliationService:
    """Accounts of sites."""

    def __init__(self, database: Database, ages: AgeService, clock: Clock) -> None:
        self._database, self._ages, self._clock = database, ages, clock

    async def account(self, site: str, *, since: datetime, until: datetime) -> Account:
        """What a site received in that time, and how far all of it has come by now.

        Raises:
            UnknownSite
            InvalidQuery: the time does not go forward.
        """
        if until <= since:
            raise InvalidQuery("`until` must be later than `since`.")
        async with self._database.snapshot() as session:
            ages = {one.site: one for one in await self._ages.of_all_sites(session)}
            if site not in ages:
                raise UnknownSite
            found = await repository.studies(session, site=site, since=since, until=until)
        return account_of(
            site=site,
            since=since,
            until=until,
            last_heard_at=ages[site].last_heard_at,
            silent_nodes=ages[site].silent_nodes,
            studies=found,
        )
