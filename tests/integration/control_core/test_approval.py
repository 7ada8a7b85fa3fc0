"""A box that needs approval waits with its key, can do nothing else, and is a node when a person said yes."""

from __future__ import annotations

from datetime import timedelta

import pytest
from cryptography import x509

from control.audit.service import AuditService
from control.enrolment.approvals import ApprovalService, RequestFacts, RequestState, spoken
from control.enrolment.service import Enrolled
from control.errors import (
    EnrolmentDecided,
    EnrolmentExpired,
    EnrolmentRejected,
    NameTaken,
    TokenExpired,
    TokenUsed,
    UnknownEnrolment,
    UnknownNode,
    UnknownSite,
)
from control.services import Core
from tests.control_fixtures import FakeClock
from tests.node_box import BoxKey, new_box_key, token_parts


@pytest.fixture
async def token(core: Core) -> str:
    await core.sites.add("north", actor="test")
    return await _token(core)


@pytest.fixture
def key() -> BoxKey:
    return new_box_key()


async def _token(core: Core, *, needs_approval: bool = True) -> str:
    return (await core.enrolment.create_token("north", actor="test", needs_approval=needs_approval)).text


async def _ask(core: Core, token: str, key: BoxKey, name: str = "north-1") -> Enrolled | RequestFacts:
    token_id, secret = token_parts(token)
    return await core.enrolment.enrol(
        token_id=token_id, token_secret=secret, node_name=name, csr_pem=key.csr_pem, address="192.0.2.7"
    )


async def _waits(core: Core, token: str, key: BoxKey, name: str = "north-1") -> RequestFacts:
    answer = await _ask(core, token, key, name)
    assert isinstance(answer, RequestFacts)
    return answer


def _approvals(core: Core) -> ApprovalService:
    return core.provisions.get(ApprovalService)


async def test_a_box_waits_is_shown_and_becomes_a_node_when_a_person_says_so(
    core: Core, token: str, key: BoxKey, clock: FakeClock
) -> None:
    asked = await _waits(core, token, key)
    (shown,) = await _approvals(core).waiting(scope=None, site=None)
    assert shown == asked
    assert (shown.site, shown.name, shown.address, shown.asked_at) == ("north", "north-1", "192.0.2.7", clock())
    assert shown.spoken_fingerprint == spoken(shown.key_fingerprint)
    assert shown.spoken_fingerprint.replace("-", "") == shown.key_fingerprint[:20]
    clock.advance(timedelta(hours=3))
    assert await _waits(core, token, key) == asked
    await _approvals(core).approve(asked.id, actor="user:eve")
    assert await _approvals(core).waiting(scope=None, site=None) == []
    enrolled = await _ask(core, token, key)
    assert isinstance(enrolled, Enrolled)
    assert enrolled.node_id == asked.id
    certificate = x509.load_pem_x509_certificate(enrolled.certificate_pem)
    assert certificate.not_valid_after_utc == clock() + timedelta(days=30)
    assert (await core.nodes.recognise(asked.id, "north")).name == "north-1"
    again = await _ask(core, token, key)  # the answer was lost
    assert isinstance(again, Enrolled)
    assert again.node_id == asked.id


async def test_a_box_that_waits_is_no_node_and_another_key_gets_nothing(core: Core, token: str, key: BoxKey) -> None:
    asked = await _waits(core, token, key)
    with pytest.raises(UnknownNode):
        await core.enrolment.recover(asked.id, key.csr_pem)
    with pytest.raises(UnknownNode):
        await core.nodes.recognise(asked.id, "north")
    assert await core.nodes.page(site="north", after="", limit=9) == []
    with pytest.raises(TokenUsed):
        await _ask(core, token, new_box_key())
    await _approvals(core).approve(asked.id, actor="user:eve")
    with pytest.raises(TokenUsed):
        await _ask(core, token, new_box_key())


async def test_a_rejected_box_hears_why_and_cannot_be_approved_afterwards(core: Core, token: str, key: BoxKey) -> None:
    asked = await _waits(core, token, key)
    await _approvals(core).reject(asked.id, "not ours", actor="user:eve")
    with pytest.raises(EnrolmentRejected, match="not ours"):
        await _ask(core, token, key)
    assert (await _approvals(core).reject(asked.id, "again", actor="user:bob")).reason == "not ours"
    with pytest.raises(EnrolmentDecided, match="user:eve has rejected"):
        await _approvals(core).approve(asked.id, actor="user:bob")
    assert await core.nodes.page(site="north", after="", limit=9) == []


async def test_an_approved_box_is_sent_away_by_revoking_its_node(core: Core, token: str, key: BoxKey) -> None:
    asked = await _waits(core, token, key)
    first = await _approvals(core).approve(asked.id, actor="user:eve")
    assert await _approvals(core).approve(asked.id, actor="user:bob") == first
    assert (first.state, first.decided_by) == (RequestState.APPROVED, "user:eve")
    with pytest.raises(EnrolmentDecided) as caught:
        await _approvals(core).reject(asked.id, "too late", actor="user:bob")
    assert "revoke" in caught.value.hint


async def test_nobody_waits_for_ever(core: Core, token: str, key: BoxKey, clock: FakeClock) -> None:
    clock.advance(timedelta(hours=23))
    asked = await _waits(core, token, key)
    clock.advance(timedelta(hours=23))  # the token is over; the box still waits
    assert await _waits(core, token, key) == asked
    clock.advance(timedelta(hours=1))
    assert await _approvals(core).waiting(scope=None, site=None) == []
    with pytest.raises(EnrolmentExpired):
        await _ask(core, token, key)
    with pytest.raises(EnrolmentDecided):
        await _approvals(core).approve(asked.id, actor="user:eve")


async def test_an_approved_box_comes_within_a_week(core: Core, token: str, key: BoxKey, clock: FakeClock) -> None:
    asked = await _waits(core, token, key)
    await _approvals(core).approve(asked.id, actor="user:eve")
    clock.advance(timedelta(days=6))
    assert isinstance(await _ask(core, token, key), Enrolled)
    clock.advance(timedelta(days=1))
    with pytest.raises(EnrolmentExpired):
        await _ask(core, token, key)


async def test_a_token_that_is_over_lets_nobody_begin_to_wait(
    core: Core, token: str, key: BoxKey, clock: FakeClock
) -> None:
    clock.advance(timedelta(hours=24))
    with pytest.raises(TokenExpired):
        await _ask(core, token, key)


async def test_a_name_that_was_taken_meanwhile_is_said_to_who_approves(core: Core, token: str, key: BoxKey) -> None:
    asked = await _waits(core, token, key)
    await _ask(core, await _token(core, needs_approval=False), new_box_key())
    with pytest.raises(NameTaken):
        await _approvals(core).approve(asked.id, actor="user:eve")
    assert await _waits(core, token, key) == asked


async def test_a_site_may_have_it_as_its_default_and_a_token_may_say_otherwise(core: Core, token: str) -> None:
    made = await core.enrolment.create_token("north", actor="test")
    assert not made.needs_approval
    assert (await core.sites.set_approval("north", needed=True, actor="user:eve")).needs_approval
    assert (await core.enrolment.create_token("north", actor="test")).needs_approval
    assert not (await core.enrolment.create_token("north", actor="test", needs_approval=False)).needs_approval
    with pytest.raises(UnknownSite):
        await core.sites.set_approval("nowhere", needed=True, actor="user:eve")


async def test_who_may_not_see_the_site_is_not_shown_who_waits(core: Core, token: str, key: BoxKey) -> None:
    await _waits(core, token, key)
    assert await _approvals(core).waiting(scope=frozenset({"south"}), site=None) == []
    assert len(await _approvals(core).waiting(scope=frozenset({"north"}), site="north")) == 1
    for unknown in ("f" * 16, "../x"):
        with pytest.raises(UnknownEnrolment):
            await _approvals(core).get(unknown)


async def test_the_trail_says_who_asked_and_who_decided(core: Core, token: str, key: BoxKey) -> None:
    asked = await _waits(core, token, key)
    await _approvals(core).approve(asked.id, actor="user:eve")
    rows = await core.provisions.get(AuditService).page(before=None, limit=20)
    found = {one.action: one for one in rows if one.site == "north"}
    assert found["enrolment.ask"].actor.startswith("token:")
    assert found["enrolment.approve"].actor == "user:eve"
    assert found["node.enrol"].actor == "user:eve"
    assert found["enrolment.ask"].object == f"enrolment:{asked.id}"
