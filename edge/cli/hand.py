"""`skerry-edge requeue`, `release`, `hold`, `discard`, `reroute`, `fix` and `audit`: a person's hand on the queue."""

from __future__ import annotations

import getpass
import json
import sys
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from edge.buffer.hand import Choice, Hand
from edge.buffer.states import DeliveryState
from edge.buffer.view import BufferView
from edge.cli.documents import read_document
from edge.cli.look import Unfinished, check_destination
from edge.cli.options import DataDir, DryRun, Json
from edge.cli.words import counted, duration, plain
from edge.errors import SettingsError
from edge.orders import FILE as ORDERS
from edge.run_dir import RunDir

Uid = Annotated[str | None, typer.Option("--uid", help="Only this instance, series or study.")]
To = Annotated[str | None, typer.Option("--destination", help="Only this destination.")]
State = Annotated[Unfinished | None, typer.Option("--state", help="Only this state.")]
Calling = Annotated[str | None, typer.Option("--calling", help="Only what this AE title sent.")]
Route = Annotated[str | None, typer.Option("--route", help="Only what this route of the policy took.")]
Older = Annotated[str | None, typer.Option("--older", help="Only what came so long ago: a number and s, m, h or d.")]
Words = Annotated[str | None, typer.Option("--reason-has", help="Only what has these words in its reason.")]
Every = Annotated[bool, typer.Option("--all", help="Everything with which this is possible.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
Reason = Annotated[str, typer.Option("--reason", help="Why: it stands in the trace and the audit.")]


class Releasable(StrEnum):
    """States out of which `requeue` helps."""

    RETRY_WAIT = "retry_wait"
    PARKED = "parked"


def requeue(
    data_dir: DataDir,
    uid: Annotated[str | None, typer.Option("--uid", help="Only this instance, series or study.")] = None,
    destination: Annotated[str | None, typer.Option("--destination", help="Only this destination.")] = None,
    state: Annotated[Releasable | None, typer.Option("--state", help="Only this state.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Everything that is parked or waits to be retried.")] = False,
    events: Annotated[bool, typer.Option("--events", help="Events that the control plane could not read.")] = False,
    unrouted: Annotated[
        bool, typer.Option("--unrouted", help="Instances that go nowhere: the policy in force decides anew.")
    ] = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Try again, now: what is parked, what waits, and destinations that are given a rest."""
    view, hand = BufferView(data_dir), hand_of(data_dir)
    if state is not None and (events or unrouted):
        raise SettingsError("--state chooses deliveries", hint="Leave it out, or leave --events and --unrouted out.")
    _check_request(view, uid=uid, destination=destination, every=every, other=events or unrouted or state is not None)
    what = ("event", "events") if events else ("instance", "instances") if unrouted else ("delivery", "deliveries")
    if events:
        count = hand.release_events(dry_run=dry_run)
    elif unrouted:
        count = hand.route_again(uid=uid, dry_run=dry_run)
    else:
        count = hand.requeue(uid=uid, destination=destination, state=state, dry_run=dry_run)
    if as_json:
        print(json.dumps({"requeued": 0 if dry_run else count, "matching": count, "dry_run": dry_run}))
    else:
        print(f"{counted(count, *what)} {'would be' if dry_run else 'are'} due again")


def _check_request(view: BufferView, *, uid: str | None, destination: str | None, every: bool, other: bool) -> None:
    if every and (uid or destination or other):
        raise SettingsError("--all means everything", hint="Leave it out, or leave the other choices out.")
    if not (uid or destination or every or other):
        raise SettingsError(
            "it is not said what to requeue", hint="Give --uid, --destination, --state, --all, --unrouted or --events."
        )
    check_destination(view, destination)


def release(
    data_dir: DataDir,
    uid: Uid = None,
    destination: To = None,
    state: State = None,
    calling: Calling = None,
    route: Route = None,
    older: Older = None,
    reason_has: Words = None,
    every: Every = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Let deliveries go now: held back, quarantined, parked, gathering or waiting to be retried."""
    choice = _choice(data_dir, uid, destination, state, calling, route, older, reason_has, every=every)
    tell(hand_of(data_dir).release(choice, dry_run=dry_run), "released", dry_run=dry_run, as_json=as_json)


def hold(
    data_dir: DataDir,
    uid: Uid = None,
    destination: To = None,
    state: State = None,
    calling: Calling = None,
    route: Route = None,
    older: Older = None,
    reason_has: Words = None,
    every: Every = False,
    reason: Reason = "",
    yes: Yes = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Hold deliveries back until somebody releases them. What is being sent goes on."""
    choice = _choice(data_dir, uid, destination, state, calling, route, older, reason_has, every=every)
    hand = hand_of(data_dir)
    sure = dry_run or _sure(hand.hold(choice, reason=reason, dry_run=True), "hold back", yes)
    tell(
        hand.hold(choice, reason=reason, dry_run=dry_run) if sure else 0, "held back", dry_run=dry_run, as_json=as_json
    )


def discard(
    data_dir: DataDir,
    reason: Reason,
    uid: Uid = None,
    destination: To = None,
    state: State = None,
    calling: Calling = None,
    route: Route = None,
    older: Older = None,
    reason_has: Words = None,
    every: Every = False,
    yes: Yes = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Never send these deliveries. Their files leave the spool as delivered ones do."""
    if not reason.strip():
        raise SettingsError("nothing is discarded without a reason", hint='Say why: --reason "sent twice by CT01".')
    choice = _choice(data_dir, uid, destination, state, calling, route, older, reason_has, every=every)
    hand = hand_of(data_dir)
    sure = dry_run or _sure(hand.discard(choice, reason=reason, dry_run=True), "never send", yes)
    done = hand.discard(choice, reason=reason, dry_run=dry_run) if sure else 0
    tell(done, "discarded", dry_run=dry_run, as_json=as_json)


def reroute(
    data_dir: DataDir,
    to: Annotated[str, typer.Option("--to", help="The destination, by its name in the policy.")],
    uid: Uid = None,
    destination: To = None,
    state: State = None,
    calling: Calling = None,
    route: Route = None,
    older: Older = None,
    reason_has: Words = None,
    every: Every = False,
    yes: Yes = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Send deliveries to another destination instead."""
    choice = _choice(data_dir, uid, destination, state, calling, route, older, reason_has, every=every)
    _check_target(data_dir, to)
    hand = hand_of(data_dir)
    sure = dry_run or _sure(hand.reroute(choice, to=to, dry_run=True), f"send to {to} instead", yes)
    done = hand.reroute(choice, to=to, dry_run=dry_run) if sure else 0
    tell(done, f"sent to {to} instead", dry_run=dry_run, as_json=as_json)


def fix(
    data_dir: DataDir,
    uid: Annotated[str, typer.Argument(help="A SOP instance, series or study UID, or an instance id.")],
    steps: Annotated[Path, typer.Option("--steps", help="Steps as in a policy's transforms (YAML list), or -.")],
    show_values: Annotated[
        bool, typer.Option("--show-values", help="Print what changes. This is patient data.")
    ] = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Mend objects that are quarantined or parked, and release them. Their files stay as they were received."""
    from edge.cli.mending import preview, told
    from edge.policy.steps_text import read_steps

    transform = read_steps(read_document(steps))
    hand = hand_of(data_dir)
    changes = preview(data_dir, hand.fixable(uid), transform, with_values=show_values)
    fixed = 0 if dry_run else hand.fix(uid, transform, reason=told(transform))
    if as_json:
        print(json.dumps({"fixed": fixed, "matching": len(changes), "dry_run": dry_run, "changes": changes}, indent=2))
        return
    for one in changes:
        print(plain(one["sop_instance_uid"]))
        for line in one["changed"]:
            print(f"  {plain(line)}")
    verb = "would be mended" if dry_run else "mended"
    print(f"{counted(len(changes), 'instance')} {verb} and released")


def audit(
    data_dir: DataDir,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many.")] = 100,
    as_json: Json = False,
) -> None:
    """What people did to the queue here, the newest first."""
    found = hand_of(data_dir).deeds(limit)
    if as_json:
        print(json.dumps(found, indent=2))
        return
    for one in found:
        asked = ", ".join(f"{key} {value}" for key, value in one["choice"].items()) or "everything"
        print(f"{one['done_at'][:19]}Z {plain(one['who'])}: {one['action']}, {one['deliveries']} of {plain(asked)}")
        if one["reason"]:
            print(f"  {plain(one['reason'])}")
    if not found:
        print("nobody changed anything here")


def hand_of(data_dir: Path) -> Hand:
    """The hand of who is logged in."""
    try:
        who = getpass.getuser()
    except (OSError, KeyError):  # an account without a name
        who = ""
    return Hand(data_dir, who=who)


def _choice(
    data_dir: Path,
    uid: str | None,
    destination: str | None,
    state: Unfinished | None,
    calling: str | None,
    route: str | None,
    older: str | None,
    reason_has: str | None,
    *,
    every: bool,
) -> Choice:
    named = any((uid, destination, state, calling, route, older, reason_has))
    if every and named:
        raise SettingsError("--all means everything", hint="Leave it out, or leave the other choices out.")
    if not (every or named):
        hint = "Give --uid, --destination, --state, --calling, --route, --older, --reason-has or --all."
        raise SettingsError("it is not said which deliveries", hint=hint)
    check_destination(BufferView(data_dir), destination)
    return Choice(
        uid=uid,
        destination=destination,
        states=(DeliveryState(state),) if state else (),
        calling_ae_title=calling,
        route=route,
        before=datetime.now(UTC) - duration(older, option="--older") if older else None,
        reason=reason_has,
    )


def _check_target(data_dir: Path, to: str) -> None:
    """A name that nobody has would wait for ever."""
    orders = RunDir(data_dir).read(ORDERS)
    listed = orders["destinations"] if orders else BufferView(data_dir).destinations()
    known = sorted({str(one["name" if orders else "destination"]) for one in listed})
    if to not in known:
        names = ", ".join(known) or "none"
        raise SettingsError(f"the policy in force has no destination {to!r}", hint=f"It has: {names}.")


def _sure(count: int, verb: str, yes: bool) -> bool:
    if yes or not count:
        return True
    question = f"{verb} {counted(count, 'delivery', 'deliveries')}?"
    if not sys.stdin.isatty():
        raise SettingsError(question, hint="Say --yes, or --dry-run to see how many they are.")
    return typer.confirm(question, err=True)


def tell(count: int, done: str, *, dry_run: bool, as_json: bool) -> None:
    """Say what was done, or would be."""
    if as_json:
        answer: dict[str, Any] = {"done": 0 if dry_run else count, "matching": count, "dry_run": dry_run}
        print(json.dumps(answer))
    else:
        print(f"{counted(count, 'delivery', 'deliveries')} {'would be ' if dry_run else ''}{done}")
