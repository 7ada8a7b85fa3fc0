"""People see what belongs to their sites and nothing of the others; accounts, keys and sessions end when told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import text

from control.app import create_app
from control.audit.query import AuditQuery
from control.audit.service import AuditService
from control.errors import InvalidGrant, LastAdministrator
from control.inbox.batch import Sender
from control.inbox.service import InboxService
from control.live.service import FeedService
from control.nodes.service import NewNode
from control.principals import Authenticator, Grant, Role
from control.services import Core
from control.users.accounts import AccountService
from tests.control_fixtures import GOOD_POLICY, FakeClock
from tests.mesh_events import batch, received

PASSWORD = "correct horse battery"
NODES = {"north": "0123456789abcdef", "south": "fedcba9876543210"}
SHARED = "1.2.3.4"


@pytest.fixture
async def app(core: Core) -> FastAPI:
    for name, node_id in NODES.items():
        site = await core.sites.add(name, actor="test")
        async with core.database.transaction() as tx:
            node = NewNode(id=node_id, name=f"box-{name}", key_fingerprint="f", certificate_ends=core.clock())
            await core.nodes.admit(tx, site, node, actor="test")
        await core.policies.upload(name, GOOD_POLICY, actor="test")
    return create_app(core.provisions)


@pytest.fixture
def accounts(core: Core) -> AccountService:
    return core.provisions.get(AccountService)


async def client(core: Core, app: FastAPI, *grants: Grant) -> httpx2.AsyncClient:
    key, _ = await core.users.create_key(f"robot-{len(grants)}", *grants, actor="test")
    transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
    return httpx2.AsyncClient(
        transport=transport, base_url="http://mesh/api/v1/", headers={"Authorization": f"Bearer {key}"}
    )


@pytest.fixture
async def north(core: Core, app: FastAPI) -> AsyncIterator[httpx2.AsyncClient]:
    """Somebody who may see the north, and audit it."""
    grants = (Grant(role=Role.SITE_ADMIN, site="north"), Grant(role=Role.AUDITOR, site="north"))
    async with await client(core, app, *grants) as opened:
        yield opened


async def test_every_list_holds_what_belongs_to_ones_sites(north: httpx2.AsyncClient) -> None:
    assert [one["name"] for one in (await north.get("sites")).json()["items"]] == ["north"]
    assert [one["site"] for one in (await north.get("nodes")).json()["items"]] == ["north"]
    assert len((await north.get("fleet")).json()["items"]) == 1
    assert (await north.get("nodes", params={"site": "south"})).status_code == 404
    assert (await north.get(f"nodes/{NODES['south']}")).status_code == 404
    assert (await north.post(f"nodes/{NODES['south']}/revoke")).status_code == 404
    assert (await north.get("sites/south/policies")).status_code == 403
    assert (await north.get("sites/nowhere/policies")).status_code == 403  # nor whether there is such a site
    assert (await north.get("sites/north/policies")).status_code == 200


async def test_a_site_admin_changes_his_site_and_no_other(north: httpx2.AsyncClient) -> None:
    assert (await north.post("sites/north/policies/1/publish")).status_code == 200
    assert (await north.post("sites/south/policies/1/publish")).status_code == 403
    assert (await north.post("sites/north/tokens")).status_code == 201
    assert (await north.post("sites", json={"name": "east"})).status_code == 403
    assert (await north.post(f"nodes/{NODES['north']}/revoke")).status_code == 200


async def test_what_another_site_knows_of_a_shared_study_neither_matches_nor_shows(
    core: Core, app: FastAPI, north: httpx2.AsyncClient
) -> None:
    inbox = InboxService(core.database, core.clock)
    for site, patient in (("north", "P-NORTH"), ("south", "P-SOUTH")):
        event = received(1, study=SHARED, tags={"PatientID": patient, "Modality": "CT"})
        await inbox.push(Sender(node_id=NODES[site], site=site), batch([event]))
    async with await client(core, app, Grant(role=Role.VIEWER)) as everybody:
        both = (await everybody.get("studies")).json()["items"][0]
        assert both["received"] == 2 or len(both["sites"]) == 2
        assert (await everybody.get("studies", params={"patient_id": "P-SOUTH"})).json()["items"]
        assert {one["body"]["site"] for one in (await everybody.get("events")).json()["items"]} == {"north", "south"}
    found = (await north.get("studies")).json()
    assert "P-SOUTH" not in str(found)
    assert "south" not in str(found)
    assert [one["study_instance_uid"] for one in found["items"]] == [SHARED]
    for asked in ({"patient_id": "P-SOUTH"}, {"site": "south"}, {"q": "P-SOUTH"}):
        assert (await north.get("studies", params=asked)).json()["items"] == [], asked
    trace = (await north.get(f"studies/{SHARED}/trace")).json()
    assert [one["site"] for one in trace["instances"]] == ["north"]
    assert "south" not in str(trace)
    assert [one["site"] for one in (await north.get("instances")).json()["items"]] == ["north"]
    assert {one["body"]["site"] for one in (await north.get("events")).json()["items"]} == {"north"}


async def test_a_feed_narrowed_to_a_site_comes_to_its_end(core: Core, app: FastAPI) -> None:
    page = await core.provisions.get(FeedService).read_after(0, scope=frozenset({"north"}))
    assert (list(page.lines), page.gap) == ([], False)


async def test_an_auditor_of_a_site_reads_its_rows_and_the_chain_holds(
    core: Core, app: FastAPI, north: httpx2.AsyncClient
) -> None:
    rows = (await north.get("audit")).json()["items"]
    assert {one["site"] for one in rows} == {"north"}
    assert {one["action"] for one in rows} == {"site.add", "node.enrol", "policy.upload"}
    assert (await north.get("audit", params={"site": "south"})).json()["items"] == []
    only = (await north.get("audit", params={"action": "policy.*"})).json()["items"]
    assert [one["object"] for one in only] == ["policy:north/1"]
    csv = (await north.get("audit.csv")).text.splitlines()
    assert csv[0].startswith("sequence,at,actor,action")
    assert len(csv) == 1 + len(rows)
    assert (await north.get("audit/check")).json() == {"intact": True, "first_broken_sequence": None}


async def test_a_row_that_was_moved_to_another_site_breaks_the_chain(core: Core, app: FastAPI) -> None:
    audit = core.provisions.get(AuditService)
    assert await audit.first_break() is None
    async with core.database.transaction() as tx:
        await tx.execute(text("UPDATE audit_row SET site = 'south' WHERE sequence = 1"))
    assert await audit.first_break() == 1


async def test_a_grant_counts_from_the_next_request_and_until_it_is_taken_back(
    core: Core, accounts: AccountService, app: FastAPI
) -> None:
    await accounts.add("eva", PASSWORD, [Grant(role=Role.ADMIN)], actor="test")
    await accounts.add("ada", PASSWORD, [], actor="test")
    known = core.provisions.get(Authenticator)
    login = await core.users.log_in("ada", PASSWORD)
    await accounts.grant("ada", Grant(role=Role.OPERATOR, site="north"), actor="user:eva")
    caller = await known.by_session(login.token)
    assert caller is not None
    assert caller.may(Role.VIEWER, "north")
    assert not caller.may(Role.SITE_ADMIN, "north")
    assert not caller.may(Role.VIEWER, "south")
    await accounts.revoke("ada", Grant(role=Role.OPERATOR, site="north"), actor="user:eva")
    caller = await known.by_session(login.token)
    assert caller is not None
    assert caller.sites() == frozenset()
    rows = await core.provisions.get(AuditService).page(AuditQuery(object="user:ada"), before=None, limit=10)
    assert [one.action for one in rows] == ["user.revoke", "user.grant", "user.login", "user.add"]
    with pytest.raises(InvalidGrant):
        await accounts.grant("ada", Grant(role=Role.ADMIN, site="north"), actor="user:eva")


async def test_the_last_administrator_cannot_be_lost(core: Core, accounts: AccountService) -> None:
    await accounts.add("eva", PASSWORD, [Grant(role=Role.ADMIN)], actor="test")
    with pytest.raises(LastAdministrator):
        await accounts.set_disabled("eva", True, actor="user:eva")
    with pytest.raises(LastAdministrator):
        await accounts.revoke("eva", Grant(role=Role.ADMIN), actor="user:eva")
    await accounts.add("ada", PASSWORD, [Grant(role=Role.ADMIN)], actor="user:eva")
    await accounts.set_disabled("eva", True, actor="user:ada")


async def test_a_disabled_user_a_new_password_and_an_ended_session_close_the_door_at_once(
    core: Core, accounts: AccountService
) -> None:
    known = core.provisions.get(Authenticator)
    await accounts.add("ada", PASSWORD, [Grant(role=Role.VIEWER)], actor="test")
    first = await core.users.log_in("ada", PASSWORD, address="10.0.0.7")
    (open_one,) = await accounts.sessions("ada", after="", limit=10)
    assert open_one.address == "10.0.0.7"
    assert open_one.id not in first.token
    await accounts.end_session(open_one.id, of_user="ada", actor="user:ada")
    assert await known.by_session(first.token) is None
    second = await core.users.log_in("ada", PASSWORD)
    await accounts.set_password("ada", "another horse battery", actor="test")
    assert await known.by_session(second.token) is None
    third = await core.users.log_in("ada", "another horse battery")
    await accounts.set_disabled("ada", True, actor="test")
    assert await known.by_session(third.token) is None


async def test_a_key_opens_at_its_sites_until_it_ends(core: Core, app: FastAPI, clock: FakeClock) -> None:
    grant = Grant(role=Role.VIEWER, site="north")
    key, facts = await core.users.create_key("report", grant, actor="test", life=timedelta(days=30))
    known = core.provisions.get(Authenticator)
    caller = await known.by_api_key(key)
    assert caller is not None
    assert caller.sites() == frozenset({"north"})
    assert facts.expires_at == clock() + timedelta(days=30)
    clock.advance(timedelta(days=30))
    assert await known.by_api_key(key) is None
