"""The loop that runs a duty, the road that all share, and the duties that only tell."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from edge.errors import UplinkError, UplinkInvalid, UplinkUnreachable
from edge.health import HealthBoard
from edge.sync.backoff import Backoff
from edge.sync.conditions import LinkHealth
from edge.sync.duty_loop import DutyLoop
from edge.sync.identity import NodeIdentity, load_identity, save_identity
from edge.sync.mqtt_nudge import TakeoverWatch
from edge.sync.renewal import TRY_AGAIN_SECONDS, RenewCertificate
from edge.sync.road import Road
from edge.sync.status_report import ReportStatus
from edge.sync.uplink import Uplink
from mesh.v1.enrolment_pb2 import RenewResponse
from mesh.v1.sync_pb2 import PolicyStatus, PullPolicyRequest, ReportStatusRequest, ReportStatusResponse
from tests.certificates import MeshAuthority
from tests.control_twin import ControlTwin, InMemoryUplink

MESH = MeshAuthority()


def until(what: Callable[[], object], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)


class Script:
    """A duty that does what it is told, step by step, and then waits."""

    name = "script"

    def __init__(self, *steps: float | Exception) -> None:
        self._steps = list(steps)
        self.done = 0

    def step(self) -> float:
        self.done += 1
        todo = self._steps.pop(0) if self._steps else 3600.0
        if isinstance(todo, Exception):
            raise todo
        return todo


class Ran:
    """A loop with what it told."""

    def __init__(self, duty: Script) -> None:
        self.faults: list[str] = []
        self.successes = 0
        self.loop = DutyLoop(
            duty,
            on_success=self._success,
            on_fault=lambda _name, error: self.faults.append(type(error).__name__),
            backoff=Backoff(base_seconds=0.001, cap_seconds=0.01),
        )
        self.loop.start()

    def _success(self, _name: str) -> None:
        self.successes += 1

    def end(self) -> None:
        self.loop.stop()
        assert self.loop.join(5)


def test_a_duty_goes_on_after_any_failure() -> None:
    duty = Script(UplinkUnreachable("gone"), UplinkInvalid("what?"), KeyError("a mistake"), 0.0, 0.0)
    ran = Ran(duty)
    until(lambda: duty.done == 6)
    ran.end()
    assert ran.faults == ["KeyError"]
    assert ran.successes == 3


def test_a_waiting_duty_can_be_woken_and_stopped() -> None:
    duty = Script(3600.0, 3600.0)
    ran = Ran(duty)
    until(lambda: duty.done == 1)
    ran.loop.wake()
    until(lambda: duty.done == 2)
    ran.end()


def test_a_loop_that_never_started_has_ended() -> None:
    loop = DutyLoop(Script(), on_success=print, on_fault=print, backoff=Backoff())
    loop.stop()
    assert loop.join(0)


def test_a_call_that_the_exchange_of_the_road_cut_off_is_repeated_on_the_new_one() -> None:
    twin = ControlTwin(MESH)
    cut, troubles = threading.Event(), list[UplinkError]()

    class Hanging(InMemoryUplink):
        def pull_policy(self, request: PullPolicyRequest) -> None:
            cut.wait(5)
            raise UplinkUnreachable("closed")

        def close(self) -> None:
            cut.set()

    road = Road(Hanging(twin), on_contact=lambda: None, on_trouble=troubles.append)
    answers: list[object] = []
    thread = threading.Thread(target=lambda: answers.append(road.pull_policy(PullPolicyRequest())))
    thread.start()
    road.exchange(InMemoryUplink(twin))
    thread.join(5)
    assert answers == [None]
    assert troubles == []


class Reporter:
    """The status duty with clocks in our hand."""

    def __init__(self) -> None:
        self.board = HealthBoard()
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.monotonic = 0.0
        self.answer = ReportStatusResponse()
        self.status: dict[str, object] = {}
        self.sent: list[ReportStatusRequest] = []
        self.duty = ReportStatus(
            uplink=self,  # type: ignore[arg-type]
            health=LinkHealth(self.board),
            status=lambda: self.status,
            policy=PolicyStatus,
            boot_id="boot-1",
            epoch=lambda: 7,
            software_version="1",
            now=lambda: self.now,
            monotonic=lambda: self.monotonic,
        )

    def report_status(self, request: ReportStatusRequest) -> ReportStatusResponse:
        self.sent.append(request)
        return self.answer

    def codes(self) -> set[str]:
        return {condition.code for condition in self.board.current()}


def test_a_report_goes_out_at_start_on_change_and_every_minute() -> None:
    reporter = Reporter()
    reporter.duty.step()
    reporter.monotonic = 30
    reporter.duty.step()
    assert len(reporter.sent) == 1
    reporter.status = {"conditions": [{"code": "spool-full", "severity": "high", "text": "t", "hint": "h"}]}
    reporter.duty.step()
    assert len(reporter.sent) == 2
    reporter.status |= {"instances_held": 5}
    reporter.duty.step()
    assert len(reporter.sent) == 2
    reporter.monotonic = 90
    reporter.duty.step()
    assert len(reporter.sent) == 3
    assert reporter.sent[-1].instances_held == 5


def test_a_field_that_the_wire_does_not_know_does_not_stop_the_report() -> None:
    reporter = Reporter()
    reporter.status = {"something_new": 1, "instances_held": 2}
    reporter.duty.step()
    assert reporter.sent[0].instances_held == 2


@pytest.mark.parametrize(("minutes", "words"), [(5, "5 minutes behind"), (-5, "5 minutes ahead of")])
def test_clocks_far_apart_are_told(minutes: int, words: str) -> None:
    reporter = Reporter()
    reporter.answer.server_time.FromDatetime(reporter.now + timedelta(minutes=minutes))
    reporter.duty.step()
    (condition,) = reporter.board.current()
    assert condition.code == "clocks-differ"
    assert words in condition.text
    reporter.answer.server_time.FromDatetime(reporter.now)
    reporter.monotonic = 100
    reporter.duty.step()
    assert reporter.codes() == set()


def test_a_suspected_clone_is_a_condition_until_the_suspicion_ends() -> None:
    reporter = Reporter()
    reporter.answer.clone_suspected = True
    reporter.duty.step()
    (condition,) = reporter.board.current()
    assert (condition.code, condition.severity) == ("identity-in-use-twice", "high")
    reporter.answer.clone_suspected = False
    reporter.monotonic = 100
    reporter.duty.step()
    assert reporter.codes() == set()


class Renewing:
    """The renewal duty of a node whose certificate has run for `age`."""

    def __init__(self, data_dir: Path, age: timedelta, https_endpoint: str = "") -> None:
        self.twin = ControlTwin(MESH)
        self.board = HealthBoard()
        self.identity = replace(MESH.identity(issued=MESH.client(begins=-age)), https_endpoint=https_endpoint)
        self.adopted: list[NodeIdentity] = []
        save_identity(data_dir, self.identity)
        self.duty = RenewCertificate(
            data_dir=data_dir,
            identity=self.identity,
            uplink=InMemoryUplink(self.twin),
            connect=self._connect,
            adopt=lambda identity, _uplink: self.adopted.append(identity),
            health=LinkHealth(self.board),
            now=lambda: datetime.now(UTC),
            chance=lambda: 0.5,
        )

    def _connect(self, identity: NodeIdentity) -> Uplink:
        return InMemoryUplink(self.twin)


def test_a_young_certificate_is_not_renewed(tmp_path: Path) -> None:
    renewing = Renewing(tmp_path, timedelta(days=9))
    assert 0 < renewing.duty.step() <= 3600
    assert renewing.twin.calls == []


def test_after_a_third_of_its_life_a_certificate_is_renewed_once(tmp_path: Path) -> None:
    renewing = Renewing(tmp_path, timedelta(days=11))
    assert renewing.duty.step() == 0.0
    assert load_identity(tmp_path) == renewing.adopted[0] != renewing.identity
    assert renewing.duty.step() > 0
    assert renewing.twin.calls.count("renew") == 1


def test_a_candidate_that_cannot_make_a_call_is_thrown_away(tmp_path: Path) -> None:
    renewing = Renewing(tmp_path, timedelta(days=11))
    refuse = UplinkUnreachable("socket closed")
    renewing.duty._connect = lambda _identity: _Refusing(renewing.twin, refuse)
    assert renewing.duty.step() == TRY_AGAIN_SECONDS
    assert load_identity(tmp_path) == renewing.identity
    assert renewing.adopted == []
    assert {condition.code for condition in renewing.board.current()} == {"renewal-failed"}
    assert 0 < renewing.duty.step() <= 3600
    assert renewing.twin.calls.count("renew") == 1


def test_a_node_whose_certificate_has_ended_recovers_with_the_key_that_it_has(tmp_path: Path) -> None:
    renewing = Renewing(tmp_path, timedelta(days=31), https_endpoint="127.0.0.1:1")
    asked: list[NodeIdentity] = []

    def recover(identity: NodeIdentity) -> RenewResponse:
        asked.append(identity)
        request = identity.signing_request()
        return RenewResponse(certificate_pem=MESH.sign_request(request, node_id=identity.node_id), ca_pem=MESH.ca_pem)

    renewing.duty._recover = recover
    assert renewing.duty.step() == 0.0
    (adopted,) = renewing.adopted
    assert adopted.key_pem == renewing.identity.key_pem
    assert adopted.valid_until > datetime.now(UTC)
    assert adopted.https_endpoint == "127.0.0.1:1"
    assert load_identity(tmp_path) == adopted
    assert (len(asked), renewing.twin.calls.count("renew")) == (1, 0)


def test_a_recovery_without_an_answer_passes_with_time(tmp_path: Path) -> None:
    renewing = Renewing(tmp_path, timedelta(days=31), https_endpoint="127.0.0.1:1")
    with pytest.raises(UplinkUnreachable):
        renewing.duty.step()
    assert load_identity(tmp_path) == renewing.identity


class _Refusing(InMemoryUplink):
    def __init__(self, twin: ControlTwin, error: UplinkError) -> None:
        super().__init__(twin)
        self._error = error

    def pull_policy(self, request: PullPolicyRequest) -> None:
        raise self._error


def test_the_last_third_of_a_certificates_life_is_told(tmp_path: Path) -> None:
    renewing = Renewing(tmp_path, timedelta(days=25))
    renewing.twin.fail_next.append(UplinkUnreachable("gone"))
    with pytest.raises(UplinkUnreachable):
        renewing.duty.step()
    assert {condition.code for condition in renewing.board.current()} == {"certificate-ends"}
    renewing.duty.step()
    assert renewing.board.current() == ()


def test_short_connections_in_a_row_point_to_another_box() -> None:
    watch = TakeoverWatch()
    verdicts = []
    for moment in range(5):
        watch.connected(float(moment))
        verdicts.append(watch.disconnected(moment + 0.5, told=False))
    assert verdicts == [False, False, False, False, True]
    assert not watch.is_over(100.0)
    assert watch.is_over(1000.0)


def test_a_long_connection_between_short_ones_is_a_bad_network() -> None:
    watch = TakeoverWatch()
    for moment in range(0, 400, 40):
        watch.connected(float(moment))
        ended = moment + (30.0 if moment % 120 == 0 else 1.0)
        assert not watch.disconnected(ended, told=False)


def test_a_broker_that_says_it_is_believed_at_once() -> None:
    watch = TakeoverWatch()
    watch.connected(0.0)
    assert watch.disconnected(500.0, told=True)
