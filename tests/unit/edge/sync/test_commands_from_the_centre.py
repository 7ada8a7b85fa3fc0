"""What the centre asks is done once, told in the end, and forgotten by nobody."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from edge.errors import SettingsError, UplinkUnreachable
from edge.sync.command_journal import CommandJournal
from edge.sync.commands import RESULT_BYTES, Asked, Kind, Outcome, RunCommands
from edge.sync.drill import OutageDrill
from edge.sync.road import Road
from mesh.v1.sync_pb2 import COMMAND_STATE_ACCEPTED, COMMAND_STATE_DONE, COMMAND_STATE_FAILED, Command
from tests.certificates import MeshAuthority
from tests.control_twin import ControlTwin, InMemoryUplink


class Site:
    """The duty with handlers in our hand."""

    def __init__(self, path: Path) -> None:
        self.twin = ControlTwin(MeshAuthority())
        self.path = path / "commands.json"
        self.done: list[Asked] = []
        self.woken = 0
        self.start()

    def start(self) -> None:
        self.duty = RunCommands(
            uplink=InMemoryUplink(self.twin),
            journal=CommandJournal(self.path),
            kinds={
                "note": Kind(handle=self._note),
                "fail": Kind(handle=self._fail),
                "break": Kind(handle=self._break),
                "big": Kind(handle=lambda _: Outcome(done=True, text="Big.", result={"x": "y" * RESULT_BYTES})),
            },
            wake=self._wake,
        )

    def ask(self, kind: str, command_id: str = "c1", **arguments: str) -> None:
        self.twin.commands.append(
            Command(command_id=command_id, kind=kind, arguments=arguments, seconds_left=60, asked_by="user:eve")
        )
        self.duty.ask()

    def told(self, command_id: str = "c1") -> list[tuple[int, str]]:
        return [(int(one.state), one.text) for one in self.twin.command_reports if one.command_id == command_id]

    def _note(self, asked: Asked) -> Outcome:
        self.done.append(asked)
        return Outcome(done=True, text="Noted.", result={"count": len(self.done)})

    def _fail(self, asked: Asked) -> Outcome:
        raise SettingsError("there is no such thing", hint="Name another.")

    def _break(self, asked: Asked) -> Outcome:
        raise ZeroDivisionError("a name of a patient")

    def _wake(self) -> None:
        self.woken += 1


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_a_command_is_accepted_then_done_then_told(site: Site) -> None:
    site.ask("note", destination="pacs")
    site.duty.step()
    assert [one.arguments for one in site.done] == [{"destination": "pacs"}]
    assert site.done[0].asked_by == "user:eve"
    assert site.told() == [(COMMAND_STATE_ACCEPTED, ""), (COMMAND_STATE_DONE, "Noted.")]
    assert site.twin.command_reports[-1].result == b'{"count": 1}'


def test_without_a_word_from_the_centre_it_is_not_asked(site: Site) -> None:
    site.duty.step()
    assert site.twin.calls == []


def test_a_failure_is_told_in_the_words_meant_for_people(site: Site) -> None:
    site.ask("fail")
    site.duty.step()
    assert site.told()[-1] == (COMMAND_STATE_FAILED, "there is no such thing. Name another.")


def test_what_nobody_foresaw_is_told_without_its_words(site: Site) -> None:
    site.ask("break")
    site.duty.step()
    state, text = site.told()[-1]
    assert state == COMMAND_STATE_FAILED
    assert "ZeroDivisionError" in text
    assert "patient" not in text


def test_a_kind_that_this_version_does_not_know_is_told_with_those_that_it_knows(site: Site) -> None:
    site.ask("fly")
    site.duty.step()
    assert site.told()[-1] == (
        COMMAND_STATE_FAILED,
        "This node's version does not know it. It knows: big, break, fail, note.",
    )


def test_a_command_whose_time_is_over_is_not_begun(site: Site) -> None:
    site.twin.commands.append(Command(command_id="c1", kind="note", seconds_left=0))
    site.duty.ask()
    site.duty.step()
    assert site.done == []


def test_a_result_that_is_too_large_is_left_out_and_says_so(site: Site) -> None:
    site.ask("big")
    site.duty.step()
    assert b"left_out" in site.twin.command_reports[-1].result


def test_what_could_not_be_told_is_told_after_a_restart_and_not_done_again(site: Site) -> None:
    site.ask("note")
    site.twin.fail_next = [UplinkUnreachable("x")]
    with pytest.raises(UplinkUnreachable):
        site.duty.step()
    site.duty.step()
    site.twin.command_reports.clear()  # the centre was restored from a backup, and asks again
    site.start()
    site.duty.ask()
    site.duty.step()
    assert len(site.done) == 1


def test_an_end_that_was_not_told_is_told_after_a_restart(site: Site) -> None:
    site.ask("note")
    CommandJournal(site.path).accept("c1", "note")
    journal = CommandJournal(site.path)
    journal.finish("c1", done=True, text="Noted.")
    site.start()
    site.duty.step()
    assert site.told() == [(COMMAND_STATE_DONE, "Noted.")]
    assert site.done == []


def test_what_was_interrupted_is_told_as_failed_and_not_begun_anew(site: Site) -> None:
    CommandJournal(site.path).accept("c1", "note")
    site.start()
    site.ask("note")
    site.duty.step()
    assert site.told()[-1] == (COMMAND_STATE_FAILED, "The node was stopped while it did this. Ask again.")
    assert site.done == []


def test_nothing_happens_behind_the_back_of_a_centre_that_was_not_told_of_the_beginning(site: Site) -> None:
    site.ask("note")
    site.duty._uplink = _NoReports(site.twin)
    with pytest.raises(UplinkUnreachable):
        site.duty.step()
    assert site.done == []
    site.start()
    site.duty.ask()
    site.duty.step()
    assert site.told() == [(COMMAND_STATE_FAILED, "The link broke before it was begun. Ask again.")]


def test_a_damaged_journal_is_begun_anew(site: Site) -> None:
    site.path.write_text("[{")
    site.start()
    site.ask("note")
    site.duty.step()
    assert len(site.done) == 1


def test_an_outage_drill_cuts_the_road_and_tells_what_came_of_it(site: Site) -> None:
    contacts: list[str] = []
    road = Road(
        InMemoryUplink(site.twin), on_contact=lambda: contacts.append("ok"), on_trouble=lambda _: contacts.append("no")
    )
    events = iter([0, 3])
    drill = OutageDrill(
        road,
        reconnect=lambda: InMemoryUplink(site.twin),
        facts=lambda: {"outbox_events": next(events), "instances_held": 5},
        behind=iter([True, False]).__next__,
        stopping=threading.Event(),
    )
    ended: list[Outcome] = []
    thread = threading.Thread(target=lambda: ended.append(drill.run(Asked(arguments={"seconds": "1"}, asked_by="x"))))
    thread.start()
    assert _cut_off(road), "the road was never cut"
    with pytest.raises(SettingsError, match="another"):
        drill.run(Asked(arguments={"seconds": "1"}, asked_by="x"))
    thread.join(10)
    road.pull_commands()
    assert contacts[-1] == "ok"
    assert ended[0].done
    assert ended[0].result["events_kept_meanwhile"] == 3


@pytest.mark.parametrize("seconds", ["", "0", "-1", "1.5", "999999", "²"])
def test_a_drill_of_no_sensible_time_is_refused(site: Site, seconds: str) -> None:
    drill = OutageDrill(
        Road(InMemoryUplink(site.twin), on_contact=lambda: None, on_trouble=lambda _: None),
        reconnect=lambda: InMemoryUplink(site.twin),
        facts=dict,
        behind=lambda: False,
        stopping=threading.Event(),
    )
    with pytest.raises(SettingsError):
        drill.run(Asked(arguments={"seconds": seconds}, asked_by="x"))


def _cut_off(road: Road) -> bool:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            road.pull_commands()
        except UplinkUnreachable:
            return True
    return False


class _NoReports(InMemoryUplink):
    def report_command(self, request: object) -> None:
        raise UplinkUnreachable("gone")
