"""A proposed policy beside the active one, over what sites told of: counted by study, and open where tags are kept."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from control.db.session import Database
from control.enrolment.ca_files import load_or_create
from control.enrolment.service import Endpoints
from control.errors import UnknownSite
from control.inbox.batch import Sender
from control.inbox.service import InboxService
from control.nodes.service import NewNode
from control.policy_errors import InvalidPolicy
from control.previews.service import Preview, PreviewService
from control.previews.tally import Difference
from control.services import Core, build_core
from tests.mesh_events import START, batch, received

NOW = START + timedelta(hours=1)
NORTH, SOUTH = Sender(node_id="n1", site="north"), Sender(node_id="s1", site="south")
PRIVACY = (
    "privacy: {share: [SOPInstanceUID, StudyInstanceUID, Modality, StudyDescription], pseudonymise: [PatientID]}\n"
)
HEAD = (
    "skerry: 1\ndestinations:\n"
    "  - {name: pacs, kind: dicom, ae_title: PACS, host: 10.0.0.5, port: 104}\n"
    "  - {name: vna, kind: dicom, ae_title: VNA, host: 10.0.0.6, port: 104}\n" + PRIVACY + "routes:\n"
)
ACTIVE = HEAD + '  - {name: all-ct, when: \'Modality == "CT" || Modality == "MR"\', to: [pacs]}\n'
ONLY_CT = HEAD + "  - {name: ct, when: 'Modality == \"CT\"', to: [pacs]}\n"
BY_PATIENT = ACTIVE + '  - {name: ours, when: \'PatientID.startsWith("P") || PatientAge == "030Y"\', to: [vna]}\n'


@pytest.fixture
async def core(database: Database, tmp_path: Path) -> Core:
    """North has a CT study of two images and an MR study of one; south a CT study. All came under version 1."""
    keys = load_or_create(tmp_path / "ca", None, NOW)
    made = build_core(database, keys, Endpoints(https="h:1", grpc="h:2"), lambda: NOW)
    for name in ("north", "south"):
        site = await made.sites.add(name, actor="test")
        async with database.transaction() as tx:
            node = NewNode(id=f"{name[0]}1", name="box", key_fingerprint=name, certificate_ends=NOW)
            await made.nodes.admit(tx, site, node, actor="test")
        await made.policies.upload(name, ACTIVE.encode(), actor="test")
        await made.policies.publish(name, 1, actor="test")
    inbox = InboxService(database, lambda: NOW)
    ct, mr = ({"Modality": word, "PatientID": "0a" * 16} for word in ("CT", "MR"))
    events = [received(1, study="1.1", tags=ct), received(2, study="1.1", tags=ct), received(3, study="1.2", tags=mr)]
    for event in events:
        event.instance_received.policy = "1.1"
    await inbox.push(NORTH, batch(events))
    other = received(1, study="1.3", tags=ct)
    other.instance_received.policy = "1.1"
    await inbox.push(SOUTH, batch([other]))
    return made


async def previewed(core: Core, text: str, *sites: str, listed: Difference | None = None, hours: int = 24) -> Preview:
    service = core.provisions.get(PreviewService)
    since = timedelta(hours=hours)
    return await service.preview(text.encode(), sites, since=since, listed=listed, limit=10, scope=None)


def counts(found: Preview) -> dict[str, int]:
    return {"studies": found.tally.studies, "instances": found.tally.instances} | {
        one.value: found.tally.counts[one] for one in Difference if found.tally.counts[one]
    }


async def test_the_same_policy_changes_nothing_and_another_is_counted_by_study(core: Core) -> None:
    assert counts(await previewed(core, ACTIVE)) == {"studies": 3, "instances": 4}
    found = await previewed(core, ONLY_CT, "north", listed=Difference.NOWHERE)
    assert counts(found) == {"studies": 2, "instances": 3, "changed": 1, "nowhere": 1}
    assert [(one.study_instance_uid, one.before, one.after) for one in found.tally.items] == [("1.2", {"pacs"}, set())]
    assert found.note == ""
    assert counts(await previewed(core, ONLY_CT, "south")) == {"studies": 1, "instances": 1}


async def test_what_only_the_site_knows_is_open_and_names_what_is_not_held(core: Core) -> None:
    found = await previewed(core, BY_PATIENT, "north", "south", listed=Difference.UNTOLD)
    assert counts(found) == {"studies": 3, "instances": 4, "untold": 3}
    assert dict(found.tally.unread) == {"PatientID": 3, "PatientAge": 3}
    assert {(frozenset(one.before), frozenset(one.perhaps)) for one in found.tally.items} == {
        (frozenset({"pacs"}), frozenset({"vna"}))
    }
    # Where the open rule sends to what gets it anyway, there is nothing open.
    assert counts(await previewed(core, BY_PATIENT.replace("to: [vna]", "to: [pacs]"))) == {
        "studies": 3,
        "instances": 4,
    }


async def test_only_studies_that_began_since_are_looked_at_and_the_cap_says_so(core: Core) -> None:
    later = build_preview(core, hours=3)
    assert (await later.preview(
        ONLY_CT.encode(), ["north"], since=timedelta(hours=1), listed=None, limit=1, scope=None
    )).tally.studies == 0  # fmt: skip
    capped = await build_preview(core, most=2).preview(
        ONLY_CT.encode(), ["north"], since=timedelta(days=1), listed=None, limit=1, scope=None
    )
    assert capped.tally.instances == 2
    assert "Only 2 images were looked at" in capped.note


def build_preview(core: Core, *, hours: int = 0, most: int = 1000) -> PreviewService:
    return PreviewService(
        core.database, core.sites, core.policies, lambda: NOW + timedelta(hours=hours), most_instances=most
    )


async def test_a_policy_that_no_edge_runs_and_a_site_of_others_are_refused(core: Core) -> None:
    with pytest.raises(InvalidPolicy):
        await previewed(core, ACTIVE.replace("[pacs]", "[pasc]"))
    service = core.provisions.get(PreviewService)
    asked = {"since": timedelta(hours=1), "listed": None, "limit": 1}
    with pytest.raises(UnknownSite):
        await service.preview(ACTIVE.encode(), ["north"], scope=frozenset({"south"}), **asked)  # type: ignore[arg-type]
    seen = await service.preview(ACTIVE.encode(), [], scope=frozenset({"south"}), **asked)  # type: ignore[arg-type]
    assert (seen.sites, seen.tally.studies) == (("south",), 1)


async def test_a_node_with_something_of_its_own_is_compared_with_that(core: Core) -> None:
    await core.policies.upload("north", ONLY_CT.encode(), actor="test")
    async with core.database.transaction() as tx:
        site = await core.sites.require(tx, "north", lock=True)
        row = await core.policies.revision(tx, site.id, 2)
        assigning = core.policies.assigning
        place = await assigning.next(tx, site.id, row.version)
        await assigning.assign(tx, site, row, place, ["n1"], by="test", at=NOW)
    assert counts(await previewed(core, ONLY_CT, "north")) == {"studies": 2, "instances": 3, "nowhere": 1}
    assert counts(await previewed(core, ACTIVE, "north")) == {"studies": 2, "instances": 3, "changed": 1}
