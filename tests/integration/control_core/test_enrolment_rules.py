"""A token opens once, for one box, in time; a certificate says what the centre says."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from control.enrolment.ca_files import MeshKeys, load_or_create
from control.enrolment.service import Endpoints, Enrolled
from control.errors import (
    InvalidCsr,
    InvalidName,
    NameTaken,
    NodeRevoked,
    SettingsError,
    TokenExpired,
    TokenMalformed,
    TokenUnknown,
    TokenUsed,
    UnknownNode,
    UnknownSite,
)
from control.services import Core, build_core
from tests.control_fixtures import GOOD_POLICY, FakeClock
from tests.node_box import new_box_key, token_parts


async def enrol(core: Core, token: str, name: str = "north-1", csr_pem: bytes | None = None) -> Enrolled:
    token_id, secret = token_parts(token)
    enrolled = await core.enrolment.enrol(
        token_id=token_id, token_secret=secret, node_name=name, csr_pem=csr_pem or new_box_key().csr_pem
    )
    assert isinstance(enrolled, Enrolled)
    return enrolled


@pytest.fixture
async def token(core: Core) -> str:
    await core.sites.add("north", actor="test")
    return (await core.enrolment.create_token("north", actor="test")).text


async def test_a_node_whose_certificate_has_ended_gets_another_for_its_bound_key(
    core: Core, token: str, clock: FakeClock
) -> None:
    key = new_box_key()
    enrolled = await enrol(core, token, csr_pem=key.csr_pem)
    clock.advance(timedelta(days=90))
    recovered = await core.enrolment.recover(enrolled.node_id, key.csr_pem)
    fresh = x509.load_pem_x509_certificate(recovered.certificate_pem)
    assert fresh.not_valid_after_utc == clock() + timedelta(days=30)
    assert fresh.public_key() == x509.load_pem_x509_certificate(enrolled.certificate_pem).public_key()
    assert recovered.https_endpoint == "mesh.example:8443"


async def test_the_key_before_a_renewal_whose_answer_was_lost_still_counts_and_no_older_one(
    core: Core, token: str
) -> None:
    keys = [new_box_key() for _ in range(3)]
    enrolled = await enrol(core, token, csr_pem=keys[0].csr_pem)
    caller = await core.nodes.recognise(enrolled.node_id, "north")
    await core.enrolment.renew(caller, keys[1].csr_pem)
    await core.enrolment.recover(enrolled.node_id, keys[0].csr_pem)
    for key in (keys[1], keys[2]):
        await core.enrolment.renew(caller, key.csr_pem)
    with pytest.raises(UnknownNode):
        await core.enrolment.recover(enrolled.node_id, keys[0].csr_pem)


async def test_who_has_another_key_or_was_revoked_gets_no_certificate(core: Core, token: str) -> None:
    key = new_box_key()
    enrolled = await enrol(core, token, csr_pem=key.csr_pem)
    with pytest.raises(UnknownNode):
        await core.enrolment.recover(enrolled.node_id, new_box_key().csr_pem)
    with pytest.raises(UnknownNode):
        await core.enrolment.recover("f" * 16, key.csr_pem)
    with pytest.raises(InvalidCsr):
        await core.enrolment.recover(enrolled.node_id, b"no request")
    await core.nodes.revoke(enrolled.node_id, actor="test")
    with pytest.raises(NodeRevoked):
        await core.enrolment.recover(enrolled.node_id, key.csr_pem)


async def test_a_box_with_a_token_becomes_a_node(core: Core, token: str, keys: MeshKeys, clock: FakeClock) -> None:
    enrolled = await enrol(core, token)
    certificate = x509.load_pem_x509_certificate(enrolled.certificate_pem)
    assert certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == enrolled.node_id
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    uri = f"spiffe://{keys.authority.mesh}/site/north/node/{enrolled.node_id}"
    assert list(names) == [x509.UniformResourceIdentifier(uri)]
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert certificate.not_valid_before_utc == clock() - timedelta(hours=1)
    assert certificate.not_valid_after_utc == clock() + timedelta(days=30)
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(enrolled.ca_pem))
    assert enrolled.policy_public_key == keys.policy_public_key
    assert (await core.nodes.recognise(enrolled.node_id, "north")).name == "north-1"


async def test_a_token_names_where_to_go_and_whom_to_trust(token: str, keys: MeshKeys) -> None:
    prefix, pin, _, _ = token.rsplit(".", 3)
    assert prefix == "mesh1.mesh.example:8443"
    assert pin == keys.authority.pin


async def test_the_first_policy_comes_with_the_certificate(core: Core, token: str) -> None:
    await core.policies.upload("north", GOOD_POLICY, actor="test")
    await core.policies.publish("north", 1, actor="test")
    policy = (await enrol(core, token)).policy
    assert policy is not None
    assert (policy.site, policy.generation, policy.version, policy.document) == ("north", 1, 1, GOOD_POLICY)


async def test_a_used_token_is_refused(core: Core, token: str) -> None:
    await enrol(core, token)
    with pytest.raises(TokenUsed):
        await enrol(core, token, name="north-2")


async def test_who_lost_the_answer_asks_again_with_the_same_key_and_is_the_same_node(
    core: Core, token: str, clock: FakeClock
) -> None:
    key = new_box_key()
    first = await enrol(core, token, csr_pem=key.csr_pem)
    clock.advance(timedelta(hours=23))
    again = await enrol(core, token, csr_pem=key.csr_pem)
    assert (again.node_id, again.site) == (first.node_id, first.site)
    fresh = x509.load_pem_x509_certificate(again.certificate_pem)
    assert fresh.public_key() == x509.load_pem_x509_certificate(first.certificate_pem).public_key()
    assert fresh.not_valid_after_utc == clock() + timedelta(days=30)
    assert len(await core.nodes.page(site="north", after="", limit=9)) == 1


async def test_a_used_token_answers_its_key_only_while_it_is_good_and_the_node_may_speak(
    core: Core, token: str, clock: FakeClock
) -> None:
    key = new_box_key()
    node = await enrol(core, token, csr_pem=key.csr_pem)
    clock.advance(timedelta(hours=24))
    with pytest.raises(TokenUsed):
        await enrol(core, token, csr_pem=key.csr_pem)
    other = (await core.enrolment.create_token("north", actor="test")).text
    revoked = await enrol(core, other, name="north-2", csr_pem=key.csr_pem)
    assert revoked.node_id != node.node_id
    await core.nodes.revoke(revoked.node_id, actor="test")
    with pytest.raises(NodeRevoked):
        await enrol(core, other, name="north-2", csr_pem=key.csr_pem)


async def test_a_used_token_is_spent_once_the_node_has_moved_on_to_other_keys(core: Core, token: str) -> None:
    keys = [new_box_key() for _ in range(3)]
    node = await enrol(core, token, csr_pem=keys[0].csr_pem)
    caller = await core.nodes.recognise(node.node_id, "north")
    for key in keys[1:]:
        await core.enrolment.renew(caller, key.csr_pem)
    with pytest.raises(TokenUsed):
        await enrol(core, token, csr_pem=keys[0].csr_pem)


async def test_of_many_boxes_with_one_token_exactly_one_gets_in(core: Core, token: str) -> None:
    tries = [enrol(core, token, name=f"north-{number}") for number in range(8)]
    results = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(isinstance(one, Enrolled) for one in results) == 1
    assert sum(isinstance(one, TokenUsed) for one in results) == 7


async def test_of_two_boxes_with_one_name_the_second_is_told_so(core: Core, token: str) -> None:
    other = (await core.enrolment.create_token("north", actor="test")).text
    results = await asyncio.gather(enrol(core, token), enrol(core, other), return_exceptions=True)
    assert sorted(type(one).__name__ for one in results) == ["Enrolled", "NameTaken"]


async def test_a_token_ends_after_a_day(core: Core, token: str, clock: FakeClock) -> None:
    clock.advance(timedelta(hours=24))
    with pytest.raises(TokenExpired):
        await enrol(core, token)


async def test_a_token_of_another_mesh_is_unknown(core: Core, token: str) -> None:
    token_id, secret = token_parts(token)
    other = f"{secret[:-1]}{'0' if secret[-1] != '0' else '1'}"
    for text in (f"x.x.{token_id}.{other}", f"x.x.{'0' * 16}.{secret}"):
        with pytest.raises(TokenUnknown):
            await enrol(core, text)


@pytest.mark.parametrize("text", ["a.b.c.d", "x.x.0123456789abcdef.", "x.x..", "x.x.ZZZZ456789abcdef.ff"])
async def test_a_mangled_token_is_called_malformed(core: Core, text: str) -> None:
    with pytest.raises(TokenMalformed):
        await enrol(core, text)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda core, token: enrol(core, token, csr_pem=b"garbage"), InvalidCsr),
        (lambda core, token: enrol(core, token, csr_pem=b"\xff" * 20_000), InvalidCsr),
        (lambda core, token: enrol(core, token, name="../etc"), InvalidName),
        (lambda core, token: enrol(core, token, name="taken"), NameTaken),
    ],
)
async def test_a_failed_enrolment_leaves_the_token_good(
    core: Core, token: str, change: Callable[[Core, str], Awaitable[Enrolled]], error: type[Exception]
) -> None:
    first = (await core.enrolment.create_token("north", actor="test")).text
    await enrol(core, first, name="taken")
    with pytest.raises(error):
        await change(core, token)
    assert (await enrol(core, token)).site == "north"


async def test_a_revoked_node_leaves_its_name_to_the_next_box(core: Core, token: str) -> None:
    old = await enrol(core, token)
    await core.nodes.revoke(old.node_id, actor="test")
    with pytest.raises(NodeRevoked):
        await core.nodes.recognise(old.node_id, "north")
    fresh = (await core.enrolment.create_token("north", actor="test")).text
    assert (await enrol(core, fresh)).node_id != old.node_id


async def test_a_node_is_known_only_in_its_own_site(core: Core, token: str) -> None:
    node = await enrol(core, token)
    await core.sites.add("south", actor="test")
    with pytest.raises(UnknownNode):
        await core.nodes.recognise(node.node_id, "south")


async def test_a_token_for_an_unknown_site_is_not_made(core: Core) -> None:
    with pytest.raises(UnknownSite):
        await core.enrolment.create_token("nowhere", actor="test")


async def test_a_renewal_takes_a_new_key_and_starts_a_new_month(core: Core, token: str, clock: FakeClock) -> None:
    node = await enrol(core, token)
    caller = await core.nodes.recognise(node.node_id, "north")
    clock.advance(timedelta(days=10))
    renewed = await core.enrolment.renew(caller, new_box_key().csr_pem)
    certificate = x509.load_pem_x509_certificate(renewed.certificate_pem)
    assert certificate.not_valid_after_utc == clock() + timedelta(days=30)
    assert (await core.nodes.get(node.node_id)).certificate_ends == certificate.not_valid_after_utc


async def test_a_database_of_another_mesh_is_refused(core: Core, tmp_path_factory: pytest.TempPathFactory) -> None:
    await core.enrolment.bind_mesh()
    await core.enrolment.bind_mesh()
    other = load_or_create(tmp_path_factory.mktemp("other") / "ca", None, core.clock())
    stranger = build_core(core.database, other, Endpoints(https="x:1", grpc="x:2"), core.clock)
    with pytest.raises(SettingsError, match="another certificate authority"):
        await stranger.enrolment.bind_mesh()
