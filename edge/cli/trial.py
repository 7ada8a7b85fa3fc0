"""`skerry-edge policy explain` and `replay`: what a policy does, or would do, with real objects. Nothing is changed."""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import asdict, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edge.cli.documents import read_document
from edge.cli.options import DataDir, Json
from edge.cli.running import running_policy
from edge.cli.words import counted, duration, plain
from edge.errors import SettingsError, SpoolError
from edge.model import AssociationFacts, Decision, SealedInstance, TagSet

if TYPE_CHECKING:
    from edge.buffer.spool import Spool
    from edge.policy.document import Policy
    from edge.policy.replay import Comparison

MOST_EXPLAINED = 10
PROGRESS_SECONDS = 2.0
_PREAMBLE = 132
_RARER = {"priority": "change priority", "waiting": "change waiting", "failed": "fail"}

OptionalDataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", envvar="SKERRY_EDGE_DATA_DIR", help="The node's data: for a UID, or its policy."),
]


class Difference(StrEnum):
    """What `replay` can list."""

    CHANGED = "changed"
    NOWHERE = "nowhere"
    PRIORITY = "priority"
    WAITING = "waiting"
    FAILED = "failed"


def explain(
    what: Annotated[str, typer.Argument(metavar="FILE|UID", help="A Part 10 file, or a UID or id that is held.")],
    policy: Annotated[Path | None, typer.Option("--policy", help="This policy; else the one that it runs.")] = None,
    calling: Annotated[str | None, typer.Option("--calling", help="As if this AE title had sent it.")] = None,
    called: Annotated[str | None, typer.Option("--called", help="As if it had called us so.")] = None,
    address: Annotated[str | None, typer.Option("--address", help="As if it came from this address.")] = None,
    received: Annotated[
        datetime | None,
        typer.Option("--received", help="As if it came at this moment, in UTC; else when it came, or now."),
    ] = None,
    data_dir: OptionalDataDir = None,
    show_values: Annotated[
        bool, typer.Option("--show-values", help="Print what the rules read of it. This is patient data.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Say what the policy does with one object, and why each route takes it or does not."""
    from edge.policy.document import load_policy
    from edge.policy.match import decide
    from edge.policy.placing import placed
    from edge.policy.replay import attributes_read

    used = load_policy(read_document(policy)) if policy else running_policy(data_dir)
    reads = attributes_read(used)
    told = []
    for name, known, at, tags in _objects(what, data_dir):
        moment = at if received is None else received.replace(tzinfo=UTC)
        facts = placed(used, _facts(known, calling, called, address), site=_site(data_dir), received_at=moment)
        one = _told(name, decide(used, facts, tags), tags) | {"reads": reads}
        if show_values:
            one["values"] = asdict(facts) | {key: tags.values[key] for key in reads if key in tags.values}
        told.append(one)
    print(json.dumps(told, indent=2) if as_json else "\n".join(_explained(one) for one in told))


def replay(
    data_dir: DataDir,
    policy: Annotated[Path, typer.Option("--policy", help="The policy to try (YAML), or - for standard input.")],
    since: Annotated[str, typer.Option("--since", help="How far back: a number and s, m, h or d.")] = "24h",
    listed: Annotated[Difference | None, typer.Option("--list", help="List these studies.")] = None,
    as_json: Json = False,
) -> None:
    """Say what a new policy would change for everything that the node still holds."""
    from edge.policy.document import load_policy

    used = load_policy(read_document(policy))
    compared = _compare(data_dir, used, datetime.now(UTC) - duration(since, option="--since"))
    studies = [] if listed is None else [_study(asdict(one)) for one in compared.studies(listed.value)]
    counts = {one.value: compared.count(one.value) for one in Difference}
    if as_json:
        total = {"policy": used.label, "studies": compared.count(), "instances": compared.instances, **counts}
        print(json.dumps(total | ({"listed": studies} if listed else {}), indent=2))
        return
    more = "".join(f", {counts[one]:,} {words}" for one, words in _RARER.items() if counts[one])
    studies_word = "study" if compared.count() == 1 else "studies"
    print(
        f"{compared.count():,} {studies_word}: {counts['changed']:,} change destination, "
        f"{counts['nowhere']:,} match nothing{more}"
    )
    for one in studies:
        print(f"{plain(one['study_instance_uid'])}  {_among(one, listed)}")
        print(f"  {', '.join(one['before']) or 'nowhere'} -> {', '.join(one['after']) or 'nowhere'}")
        for turn in one["turns"]:
            print(f"  {plain(turn)}")
        for reason in one["reasons"]:
            print(f"  {plain(reason)}")


def _among(one: dict[str, Any], listed: Difference | None) -> str:
    return f"{one[listed.value] if listed else 0} of {counted(one['instances'], 'instance')}"


def _study(one: dict[str, Any]) -> dict[str, Any]:
    return one | {key: sorted(one[key]) for key in ("before", "after", "turns", "reasons")}


def _compare(data_dir: Path, policy: Policy, since: datetime) -> Comparison:
    from edge.buffer.spool import Spool
    from edge.buffer.view import BufferView
    from edge.policy.match import decide
    from edge.policy.placing import placed
    from edge.policy.replay import Before, Comparison

    spool, compared, said, site = Spool(data_dir / "spool"), Comparison(), time.monotonic(), _site(data_dir)
    for held in BufferView(data_dir).held_since(since):
        study = held.study_instance_uid or held.sealed.instance_id
        uids = {"series": held.series_instance_uid, "study": held.study_instance_uid}
        before = Before(
            destinations=held.destinations,
            priorities=held.priorities,
            waited=held.waited,
            scopes=frozenset(scope for scope, uid in uids.items() if uid),
        )
        try:
            tags = _header(spool, held.sealed)
        except SpoolError as error:
            compared.add_unreadable(study, before, f"its file cannot be read: {error}")
            continue
        facts = placed(policy, held.sealed.facts, site=site, received_at=held.sealed.received_at)
        compared.add(study, before, decide(policy, facts, tags))
        if time.monotonic() - said > PROGRESS_SECONDS:
            said = time.monotonic()
            print(f"{counted(compared.instances, 'instance')} so far", file=sys.stderr)
    return compared


def _header(spool: Spool, sealed: SealedInstance) -> TagSet:
    from edge.tags import read_file_tags

    with spool.open_slot(sealed) as file:
        return read_file_tags(
            file,
            offset=sealed.data_set_offset,
            length=sealed.data_set_length,
            transfer_syntax_uid=sealed.transfer_syntax_uid,
        )


def _objects(what: str, data_dir: Path | None) -> list[tuple[str, AssociationFacts | None, datetime, TagSet]]:
    if Path(what).is_file():
        return [(what, None, datetime.now(UTC), _file_header(Path(what)))]
    if data_dir is None:
        raise SettingsError(f"{what} is no file", hint="Give --data-dir when it is a UID that the node holds.")
    from edge.buffer.spool import Spool
    from edge.buffer.view import BufferView

    spool = Spool(data_dir / "spool")
    found = BufferView(data_dir).held_under(what, limit=MOST_EXPLAINED + 1)
    if len(found) > MOST_EXPLAINED:
        print(f"only the newest {MOST_EXPLAINED} objects are explained", file=sys.stderr)
    return [(one.instance_id, one.facts, one.received_at, _header(spool, one)) for one in found[:MOST_EXPLAINED]]


def _site(data_dir: Path | None) -> str:
    """Whose node this is; nobody's while it was not enrolled."""
    from edge.sync.trust import load_enrolment

    trust = load_enrolment(data_dir).trust if data_dir is not None else None
    return trust.site if trust is not None else ""


def _file_header(path: Path) -> TagSet:
    """The header of a Part 10 file (PS3.10 7.1)."""
    from pydicom.errors import InvalidDicomError
    from pydicom.filereader import read_file_meta_info

    from edge.tags import read_file_tags

    try:
        meta = read_file_meta_info(path)
        offset = _PREAMBLE + 12 + int(meta.FileMetaInformationGroupLength)
        syntax = str(meta.TransferSyntaxUID)
    except (InvalidDicomError, AttributeError, ValueError, EOFError) as error:
        raise SettingsError(
            f"{path} is not a DICOM Part 10 file", hint="Give a file with a file meta group."
        ) from error
    with path.open("rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        return read_file_tags(stream.fileno(), offset=offset, length=max(0, size - offset), transfer_syntax_uid=syntax)


def _facts(
    known: AssociationFacts | None, calling: str | None, called: str | None, address: str | None
) -> AssociationFacts:
    base = known or AssociationFacts(calling_ae_title="", called_ae_title="", peer_address="")
    return replace(
        base,
        calling_ae_title=base.calling_ae_title if calling is None else calling,
        called_ae_title=base.called_ae_title if called is None else called,
        peer_address=base.peer_address if address is None else address,
    )


def _told(name: str, decision: Decision, tags: TagSet) -> dict[str, Any]:
    return {
        "object": name,
        "policy": decision.policy,
        "routes": [asdict(outcome) for outcome in decision.outcomes],
        "destinations": [
            {
                "name": one,
                "priority": decision.priorities[one].word if one in decision.priorities else "normal",
                "waits_for": decision.waits[one].scope if one in decision.waits else None,
            }
            for one in decision.destinations
        ],
        "flags": tags.flags,
    }


def _explained(one: dict[str, Any]) -> str:
    lines = [plain(one["object"]), f"  policy     {one['policy']}"]
    for outcome in one["routes"]:
        took = "yes" if outcome["matched"] else "no"
        lines.append(f"  route      {plain(outcome['route'])}: {took}, {plain(outcome['reason'])}")
    lines += [f"  odd        {plain(flag)}" for flag in one["flags"]]
    for to in one["destinations"]:
        waits = f", when its {to['waits_for']} is complete" if to["waits_for"] else ""
        lines.append(f"  goes to    {plain(to['name'])}, {to['priority']}{waits}")
    if not one["destinations"]:
        lines.append("  nowhere    no route takes it")
    if one["reads"]:
        lines.append(f"  read       {', '.join(one['reads'])}")
    lines += [f"  value      {key}: {plain(value)}" for key, value in one.get("values", {}).items()]
    return "\n".join(lines)
