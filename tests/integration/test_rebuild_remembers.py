"""A rebuilt index holds, discards and mends what people did: also when the node died in the middle of it."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from edge.buffer.deed_journal import FILE, DeedJournal, Entry
from edge.buffer.hand import Choice, Hand
from edge.buffer.remembered import wanted
from edge.buffer.states import DeliveryEvent, DeliveryState
from edge.buffer.store import Buffer
from edge.buffer.view import BufferView
from edge.health import HealthBoard
from edge.policy.document import Policy, load_policy
from edge.policy.quickstart import everything_to
from edge.recovery import recover
from edge.routing import Router
from edge.steps import Step, Transform
from tests.edge_samples import take

POLICY = load_policy(everything_to(["PACS@127.0.0.1:104", "ARCHIVE@127.0.0.1:105"]))
STEPS = Transform(name="fix", steps=(Step(kind="set", tag=0x00100020, value="P7"),))
KILLED = """
import os, sys
from pathlib import Path
from edge.buffer.deed_journal import DeedJournal
from edge.buffer.hand import Choice, Hand
moment, action, data_dir = sys.argv[1:]
begin = DeedJournal.begin
def die(*_):
    os._exit(9)
def begun(self, entry):
    begin(self, entry)
    os._exit(9)
if moment == "before the commit":
    DeedJournal.begin = begun
elif moment == "after the commit":
    DeedJournal.did = die
hand = Hand(Path(data_dir))
getattr(hand, action)(Choice(destination="PACS"), reason="why", dry_run=False)
"""


@contextlib.contextmanager
def running(data_dir: Path, policy: Policy | None = POLICY) -> Iterator[tuple[Buffer, Router]]:
    buffer = Buffer(data_dir)
    router = Router(buffer, HealthBoard(), lambda: policy, b"k" * 32)
    recover(buffer, router.admit)
    try:
        yield buffer, router
    finally:
        buffer.close()


def lose_index(data_dir: Path) -> None:
    for path in data_dir.glob("edge.db*"):
        path.unlink()


def fill(data_dir: Path, count: int = 1) -> None:
    with running(data_dir) as (buffer, router):
        router.admit([take(buffer, f"1.2.{number}") for number in range(count)])


def standing(data_dir: Path) -> dict[tuple[str, str], str]:
    connection = apsw.Connection(str(data_dir / "edge.db"))
    joined = "FROM delivery JOIN instance ON instance.id = delivery.instance"
    found = connection.execute(f"SELECT sop_instance_uid, destination, state {joined}").fetchall()
    connection.close()
    return {(str(uid), str(to)): str(state) for uid, to, state in found}


def test_holds_discards_moves_and_fixes_are_there_again_before_anything_is_sent(tmp_path: Path) -> None:
    fill(tmp_path, 5)
    with running(tmp_path) as (buffer, _router):
        (stuck,) = [one for one in buffer.claim("PACS", 10) if one.sealed.sop_instance_uid == "1.2.3"]
        buffer.settle(stuck.delivery_id, DeliveryEvent.UNFIT, reason="no patient id")
        hand = Hand(tmp_path, who="ann")
        for number in (0, 1, 4):
            buffer.recover()
            hand.hold(Choice(uid=f"1.2.{number}"), reason="wrong patient", dry_run=False)
        hand.discard(Choice(uid="1.2.1", destination="PACS"), reason="a test", dry_run=False)
        hand.reroute(Choice(uid="1.2.2", destination="PACS"), to="THIRD", dry_run=False)
        hand.fix("1.2.3", STEPS)
        hand.release(Choice(uid="1.2.4"), dry_run=False)
        before, deeds = standing(tmp_path), hand.deeds()
    assert before["1.2.0", "PACS"] == "held"
    assert before["1.2.1", "PACS"] == before["1.2.2", "PACS"] == "discarded"
    lose_index(tmp_path)
    with running(tmp_path) as (buffer, _router):
        assert standing(tmp_path) == before
        assert Hand(tmp_path).deeds() == deeds
        fixed = {
            one.sealed.sop_instance_uid: one.fix for one in (*buffer.claim("PACS", 9), *buffer.claim("ARCHIVE", 9))
        }
        assert fixed == {"1.2.2": (), "1.2.3": (STEPS,), "1.2.4": ()}
        reasons = {row["reason"] for row in BufferView(tmp_path).trace("1.2.1")[0]["deliveries"]}
        assert reasons == {"discarded by an operator: a test", "held back by an operator: wrong patient"}


@pytest.mark.parametrize("moment", ["before the commit", "after the commit", "never"])
@pytest.mark.parametrize("action", ["hold", "discard"])
def test_who_dies_while_a_person_acts_sends_nothing_of_it_after_a_rebuild(
    tmp_path: Path, moment: str, action: str
) -> None:
    fill(tmp_path)
    ended = subprocess.run([sys.executable, "-c", KILLED, moment, action, str(tmp_path)], check=False)
    assert ended.returncode == (0 if moment == "never" else 9)
    done = {"hold": "held", "discard": "discarded"}[action]
    assert standing(tmp_path)["1.2.0", "PACS"] == ("due" if moment == "before the commit" else done)
    lose_index(tmp_path)
    with running(tmp_path) as (buffer, _router):
        # What nobody answered for waits for a person: it is neither sent nor thrown away.
        assert standing(tmp_path) == {
            ("1.2.0", "PACS"): done if moment == "never" else "held",
            ("1.2.0", "ARCHIVE"): "due",
        }
        assert buffer.claim("PACS", 10) == []
    with running(tmp_path):
        assert standing(tmp_path)["1.2.0", "PACS"] == (done if moment == "never" else "held")


def test_what_was_asked_is_done_when_a_policy_comes_after_a_rebuild_without_one(tmp_path: Path) -> None:
    fill(tmp_path)
    Hand(tmp_path).hold(Choice(destination="PACS"), reason="", dry_run=False)
    lose_index(tmp_path)
    with running(tmp_path, policy=None):
        assert standing(tmp_path) == {}
    with running(tmp_path) as (buffer, router):
        router.admit(buffer.unrouted(10))
        assert standing(tmp_path) == {("1.2.0", "PACS"): "held", ("1.2.0", "ARCHIVE"): "due"}


def test_an_index_out_of_a_backup_hears_what_people_did_since(tmp_path: Path) -> None:
    fill(tmp_path)
    connection = apsw.Connection(str(tmp_path / "edge.db"))
    connection.execute("VACUUM INTO ?", (str(tmp_path / "backup"),)).fetchall()
    connection.close()
    Hand(tmp_path).discard(Choice(destination="PACS"), reason="a test", dry_run=False)
    lose_index(tmp_path)
    shutil.move(tmp_path / "backup", tmp_path / "edge.db")
    with running(tmp_path):
        assert standing(tmp_path) == {("1.2.0", "PACS"): "discarded", ("1.2.0", "ARCHIVE"): "due"}
        assert [deed["action"] for deed in Hand(tmp_path).deeds()] == ["discard"]


def test_an_index_that_was_not_lost_is_not_touched(tmp_path: Path) -> None:
    fill(tmp_path)
    with (tmp_path / FILE).open("w") as stream:
        entry = {"begin": "a", "done_at": 1, "action": "discard", "of": {"PACS": ["x"]}}
        stream.write(f"{json.dumps(entry)}\n")
    with running(tmp_path):
        assert standing(tmp_path)["1.2.0", "PACS"] == "due"


def test_a_line_that_was_cut_off_hides_no_other(tmp_path: Path) -> None:
    journal = DeedJournal(tmp_path)
    entry = Entry(done_at=1, who="ann", action="hold", choice="{}", reason="r", of={"PACS": ["i"]}, deliveries=1)
    journal.did(journal.begin(entry))
    with (tmp_path / FILE).open("a") as stream:
        stream.write('{"begin": "b", "done_at": 2, "act')
    journal.did(journal.begin(Entry(done_at=3, who="", action="release", choice="{}", reason="")))
    assert [one.action for one in journal.entries()] == ["hold", "release"]
    assert journal.entries()[0] == entry
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600


def test_what_is_sent_away_and_back_stands_where_it_came_from() -> None:
    def did(action: str, at: str, to: str = "") -> Entry:
        return Entry(done_at=1, who="", action=action, choice="", reason="", of={at: ["i"]}, to=to)

    found = wanted([did("reroute", "a", "b"), did("hold", "b"), did("release", "b")])
    assert {key[1]: (one.standing, one.sent_here) for key, one in found.items()} == {
        "a": (DeliveryState.DISCARDED, False),
        "b": ("", True),
    }
    back = wanted([did("reroute", "a", "b"), did("reroute", "b", "a")])
    assert {key[1]: one.standing for key, one in back.items()} == {"a": "", "b": "discarded"}
    assert wanted([did("hold", "a"), did("release", "a")]) == {}


def test_a_long_journal_keeps_what_is_still_here_and_the_audit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.buffer.remembered.LARGEST_BYTES", 100)
    fill(tmp_path)
    Hand(tmp_path, who="ann").hold(Choice(destination="PACS"), reason="why", dry_run=False)
    journal = DeedJournal(tmp_path)
    (real,) = journal.entries()
    gone = Entry(done_at=1, who="ann", action="discard", choice="{}", reason="", of={"PACS": ["f" * 32] * 50})
    journal.replace_with([gone, real])
    with running(tmp_path):
        pass
    assert [(one.action, dict(one.of)) for one in journal.entries()] == [("discard", {"PACS": []}), ("hold", real.of)]
    lose_index(tmp_path)
    with running(tmp_path):
        assert standing(tmp_path)["1.2.0", "PACS"] == "held"
