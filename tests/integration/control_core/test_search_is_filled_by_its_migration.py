"""A database that was used before search had its own columns is searched like a fresh one after the upgrade."""

from __future__ import annotations

from typing import Any

import pytest
from alembic import command
from sqlalchemy import Connection, text

from control.clock import utcnow
from control.db import upgrade as upgrading
from control.db.session import WRITES, Database, open_database
from control.db.upgrade import upgrade
from control.filters.parser import read_filter
from control.fleet.heard import AgeService
from control.studies.query import StudyQuery
from control.studies.service import StudyService

ROWS = (
    "INSERT INTO study VALUES ('1.1', {at}), ('1.2', {at})",
    "INSERT INTO study_site VALUES"
    " ('1.1', 'north', 'P1', 'Straße^ANNA', '19700101', '', 'A1', '20260101', '', '', {at}, {at}),"
    " ('1.2', 'north', 'P2', '', '', '', '', '', '', '', {at}, {at})",
    "INSERT INTO study_term VALUES ('straße', '1.1', 'north')",
    "INSERT INTO series VALUES"
    " ('1.1', '1.1.1', 'north', 'ct', '', '', '', {at}), ('1.2', '1.2.1', 'north', '', '', '', '', {at})",
    "INSERT INTO instance VALUES ('n', 'i1', 'north', '', '1.1.1.1', '1.1', '1.1.1', '', 1, 'CT7', 'SKERRY', '',"
    " {at}, '{{}}', '[]', '', '[]', '0', 1, {at}, {at})",
    "INSERT INTO instance VALUES ('n', 'i2', 'north', '', '1.2.1.1', '1.2', '1.2.1', '', 1, '', '', '',"
    " {at}, '{{}}', '[]', '', '[]', '0', 2, {at}, {at})",
    "INSERT INTO delivery VALUES"
    " ('n', 'i1', 'pacs', 'north', '1.1.1.1', '1.1', 'parked', 2, 5, '', 1, 0, {at}, NULL, '0', 3)",
)
"""What the tables of the revision before held."""

FOUND = {
    'PatientName = "STRASSE^*"': ["1.1"],
    "Modality = CT": ["1.1"],
    "CallingAETitle = CT7": ["1.1"],
    "State = unrouted": ["1.2"],
    "State = parked": ["1.1"],
    'IssuerOfPatientID = ""': ["1.2", "1.1"],
    "SeriesInstanceUID = '1.2.*'": ["1.2"],
    "ReceivedAt = 2026-01-01": ["1.2", "1.1"],
}


def _to_the_revision_before(connection: Connection) -> None:
    config: Any = upgrading._config()
    config.attributes["connection"] = connection
    command.upgrade(config, "0004")
    at = "'2026-01-01T00:00:00Z'" if connection.dialect.name == "postgresql" else "1767225600000000"
    for row in ROWS:
        connection.execute(text(row.format(at=at)))


@pytest.fixture
async def old(database_url: str) -> Database:
    opened = open_database(database_url)
    async with opened.engine.execution_options(**{WRITES: True}).begin() as connection:
        await connection.run_sync(_to_the_revision_before)
    return opened


async def test_what_was_known_before_the_upgrade_is_found_by_every_field(old: Database) -> None:
    await upgrade(old)
    studies = StudyService(old, AgeService(utcnow))
    for asked, uids in FOUND.items():
        items, _, _ = await studies.search(StudyQuery(filter=read_filter(asked)))
        assert [one.study_instance_uid for one in items] == uids, asked
    await old.close()
