"""Rows that travel as arrays arrive as they were, whatever stands in them; what arrays cannot carry travels alone."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from sqlalchemy import Table, select

from control.db.session import Database
from control.db.upsert import Assignments, Columns, Rows, insert_missing, upsert
from control.instances.models import StudySite
from control.live.models import LiveEvent
from control.promises.models import KeptAnswer

ODD = (
    "",
    "NULL",
    "null",
    '"',
    "\\",
    '\\"',
    "{a,b}",
    "a,b",
    "é線\U0001f600",
    "\x01\n\t",
    "'; DROP TABLE site; --",
    " x ",
)
NOON = datetime(2026, 11, 20, 12, 0, 0, 1, tzinfo=UTC)
LIVE = cast("Table", LiveEvent.__table__)


def replace(_stands: Columns, comes: Columns) -> Assignments:
    return {"kind": comes.kind, "body": comes.body, "at": comes.at}


async def kept(database: Database) -> dict[int, Any]:
    async with database.snapshot() as session:
        return {one.sequence: (one.at, one.kind, one.body) for one in (await session.scalars(select(LiveEvent))).all()}


async def test_odd_values_arrive_as_they_were(database: Database) -> None:
    body = {"text": list(ODD), "deep": {"a": [1, None, True, 1.5]}}
    rows = [(number, NOON, text, body) for number, text in enumerate(ODD, 1)]
    rows.append((2**63 - 1, datetime(1, 1, 1, tzinfo=UTC), "first day", {}))
    rows.append((-(2**63), datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC), "last day", {}))
    async with database.transaction() as session:
        await insert_missing(session, LIVE, Rows(("sequence", "at", "kind", "body"), rows))
    assert await kept(database) == {sequence: (at, kind, body) for sequence, at, kind, body in rows}


async def test_a_row_that_is_there_is_left_or_merged(database: Database) -> None:
    names = ("sequence", "at", "kind", "body")
    async with database.transaction() as session:
        await insert_missing(session, LIVE, Rows(names, [(1, NOON, "first", {}), (2, NOON, "first", {})]))
        await insert_missing(session, LIVE, Rows(names, [(2, NOON, "second", {}), (3, NOON, "second", {})]))
        await upsert(session, LIVE, Rows(names, [(3, NOON, "third", {}), (4, NOON, "third", {})]), replace)
    assert {key: kind for key, (_, kind, _) in (await kept(database)).items()} == {
        1: "first", 2: "first", 3: "third", 4: "third"
    }  # fmt: skip


async def test_no_rows_are_no_statement(database: Database) -> None:
    async with database.transaction() as session:
        await insert_missing(session, LIVE, [])
        await upsert(session, LIVE, Rows(("sequence", "at", "kind", "body"), []), replace)
    assert await kept(database) == {}


async def test_missing_values_and_other_types_arrive_too(database: Database) -> None:
    site = {"study_instance_uid": "1", "site": "north", "listed_at": NOON, "patient_id": "x"}
    site |= dict.fromkeys(("patient_name", "patient_birth_date", "patient_sex", "accession_number", "study_date"), "")
    site |= {
        "study_time": "",
        "study_description": "",
        "patient_name_folded": "",
        "issuer_of_patient_id": "",
        "first_received_at": None,
        "last_received_at": NOON,
    }
    answer = {"id": "a", "request_sha256": "", "begun_at": NOON, "sealed": b"\0\xff"}
    async with database.transaction() as session:
        await insert_missing(session, cast("Table", StudySite.__table__), [site, site | {"site": "south"}])
        await insert_missing(
            session, cast("Table", KeptAnswer.__table__), [answer, answer | {"id": "b", "sealed": None}]
        )
    async with database.snapshot() as session:
        found = await session.execute(select(StudySite.first_received_at, StudySite.last_received_at))
        assert found.all() == [(None, NOON)] * 2
        assert list(await session.scalars(select(KeptAnswer.sealed).order_by(KeptAnswer.id))) == [b"\0\xff", None]


async def test_a_text_with_nul_never_shifts_its_neighbours(database: Database) -> None:
    rows: list[tuple[Any, ...]] = [(1, NOON, "a\0b", {}), (2, NOON, "c", {})]
    refused = pytest.raises(ValueError, match="NUL") if database.dialect == "postgresql" else nullcontext()
    with refused:
        async with database.transaction() as session:
            await insert_missing(session, LIVE, Rows(("sequence", "at", "kind", "body"), rows))
    assert (await kept(database)).get(2, (NOON, "c", {})) == (NOON, "c", {})
