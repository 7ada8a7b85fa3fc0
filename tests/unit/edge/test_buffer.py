"""The buffer's promises: one transaction for each change, claims that expire, events that are not lost."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import apsw
import pytest

from edge.buffer import store
from edge.buffer.hand import Hand
from edge.buffer.seal import to_microseconds
from edge.buffer.states import DeliveryEvent, DeliveryState
from edge.buffer.store import Buffer
from edge.buffer.view import BufferView, QueueFilter
from edge.errors import IllegalTransition, SettingsError, UnknownInstance
from tests.edge_samples import routed, take


@pytest.fixture
def buffer(tmp_path: Path) -> Iterator[Buffer]:
    opened = Buffer(tmp_path)
    yield opened
    opened.close()


def test_an_admitted_instance_is_due_at_each_destination_and_told_to_the_centre(buffer: Buffer) -> None:
    sealed = take(buffer)
    assert buffer.admit([routed(sealed, "pacs", "archive")]) == 1
    assert [one.sealed for one in buffer.claim("pacs", 10)] == [sealed]
    assert [one.sealed for one in buffer.claim("archive", 10)] == [sealed]
    (event,) = buffer.read_outbox(10)
    assert event.kind == "instance_received"
    assert event.body["destinations"] == ["pacs", "archive"]


def test_admitting_the_same_file_twice_changes_nothing(buffer: Buffer) -> None:
    sealed = take(buffer)
    buffer.admit([routed(sealed, "pacs")])
    assert buffer.admit([routed(sealed, "pacs")]) == 0
    assert len(buffer.read_outbox(10)) == 1
    assert len(buffer.claim("pacs", 10)) == 1


def test_a_sop_instance_with_other_bytes_is_custody_of_two_arrivals(buffer: Buffer) -> None:
    buffer.admit([routed(take(buffer, "1.9"), "pacs"), routed(take(buffer, "1.9", b"other"), "pacs")])
    assert len(buffer.claim("pacs", 10)) == 2


def test_what_is_claimed_is_not_claimed_again_until_its_lease_ends(buffer: Buffer) -> None:
    buffer.admit([routed(take(buffer), "pacs")])
    assert len(buffer.claim("pacs", 10)) == 1
    assert buffer.claim("pacs", 10) == []
    assert buffer.expire_leases() == 0
    assert buffer.recover() == 1
    assert len(buffer.claim("pacs", 10)) == 1


def test_a_delivery_that_failed_waits_for_its_time_and_counts_its_tries(buffer: Buffer) -> None:
    buffer.admit([routed(take(buffer), "pacs")])
    (first,) = buffer.claim("pacs", 10)
    later = datetime.now(UTC) + timedelta(milliseconds=150)
    buffer.settle(first.delivery_id, DeliveryEvent.FAILED_TRANSIENTLY, reason="busy", not_before=later)
    assert buffer.claim("pacs", 10) == []
    threading.Event().wait(0.2)
    (second,) = buffer.claim("pacs", 10)
    assert (first.attempts, second.attempts) == (1, 2)


def test_giving_back_costs_no_try_and_tells_nobody(buffer: Buffer) -> None:
    buffer.admit([routed(take(buffer), "pacs")])
    (held,) = buffer.claim("pacs", 10)
    buffer.settle(held.delivery_id, DeliveryEvent.GIVEN_BACK)
    (again,) = buffer.claim("pacs", 10)
    assert again.attempts == 1
    assert len(buffer.read_outbox(10)) == 1


def test_a_settled_delivery_cannot_be_settled_again(buffer: Buffer) -> None:
    buffer.admit([routed(take(buffer), "pacs")])
    (held,) = buffer.claim("pacs", 10)
    buffer.settle(held.delivery_id, DeliveryEvent.ACCEPTED)
    with pytest.raises(IllegalTransition):
        buffer.settle(held.delivery_id, DeliveryEvent.REFUSED)


def test_a_change_that_fails_does_not_take_its_neighbours_along(buffer: Buffer) -> None:
    buffer.admit([routed(take(buffer, f"1.{n}"), "pacs") for n in range(30)])
    held = buffer.claim("pacs", 30)
    failures: list[Exception] = []

    def settle(delivery_id: int) -> None:
        try:
            buffer.settle(delivery_id, DeliveryEvent.ACCEPTED)
        except IllegalTransition as error:
            failures.append(error)

    threads = [threading.Thread(target=settle, args=(one.delivery_id,)) for one in held]
    threads += [threading.Thread(target=settle, args=(999_999,)) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(failures) == 10
    assert buffer.counts().deliveries_waiting == 0


def test_acknowledged_events_go_and_their_numbers_are_never_used_again(buffer: Buffer) -> None:
    buffer.admit([routed(take(buffer), "pacs")])
    (event,) = buffer.read_outbox(10)
    assert len(buffer.read_outbox(10)) == 1, "reading is not removing"
    buffer.acknowledge(event.sequence)
    buffer.admit([routed(take(buffer, "1.9"), "pacs")])
    (later,) = buffer.read_outbox(10)
    assert later.sequence > event.sequence


def test_what_a_restored_centre_lost_waits_again_with_the_present_state_of_each_delivery(buffer: Buffer) -> None:
    buffer.admit([routed(take(buffer, "1.1"), "pacs"), routed(take(buffer, "1.2"), "pacs")])
    first, second = (event.body["instance_id"] for event in buffer.read_outbox(10))
    for claimed in buffer.claim("pacs", 10):
        buffer.settle(claimed.delivery_id, DeliveryEvent.ACCEPTED)
    last = buffer.read_outbox(10)[-1].sequence
    buffer.acknowledge(last)
    assert (buffer.read_outbox(10), buffer.counts().outbox_events, buffer.told()) == ([], 0, last)
    buffer.tell_again(1)
    waits = [(event.sequence, event.kind, event.body["instance_id"]) for event in buffer.read_outbox(10)]
    assert waits == [
        (2, "instance_received", second),
        (last + 1, "delivery_changed", first),
        (last + 2, "delivery_changed", second),
    ]
    assert {event.body.get("state") for event in buffer.read_outbox(10)} == {None, "delivered"}
    assert (buffer.told(), buffer.counts().outbox_events) == (1, 3)
    buffer.new_epoch()
    assert buffer.told() == 0, "under another epoch it never acknowledged anything"


def test_what_was_told_is_forgotten_after_a_week_and_what_waits_never(
    buffer: Buffer, monkeypatch: pytest.MonkeyPatch
) -> None:
    buffer.admit([routed(take(buffer, "1.1"), "pacs"), routed(take(buffer, "1.2"), "pacs")])
    buffer.acknowledge(1)
    monkeypatch.setattr(store, "KEPT", timedelta(days=-1))
    buffer.prune()
    buffer.tell_again(0)
    told = [event.kind for event in buffer.read_outbox(10)]
    assert told.count("instance_received") == 1
    assert told.count("delivery_changed") == 2


def test_an_event_set_aside_blocks_no_other_and_is_kept(buffer: Buffer) -> None:
    buffer.admit([routed(take(buffer, "1.1"), "pacs"), routed(take(buffer, "1.2"), "pacs")])
    poison, good = buffer.read_outbox(10)
    buffer.set_aside(poison.sequence, "the centre cannot read it")
    assert [one.sequence for one in buffer.read_outbox(10)] == [good.sequence]
    buffer.acknowledge(good.sequence)
    assert buffer.telling.set_aside_count() == 1


def test_events_that_a_person_releases_are_told_again_under_new_numbers(buffer: Buffer, tmp_path: Path) -> None:
    buffer.admit([routed(take(buffer, "1.1"), "pacs"), routed(take(buffer, "1.2"), "pacs")])
    poison, good = buffer.read_outbox(10)
    buffer.set_aside(poison.sequence, "the centre cannot read it")
    buffer.acknowledge(good.sequence)
    assert Hand(tmp_path).release_events(dry_run=True) == 1
    assert buffer.read_outbox(10) == []
    assert Hand(tmp_path).release_events(dry_run=False) == 1
    (again,) = buffer.read_outbox(10)
    assert again.sequence > good.sequence
    assert again.body == poison.body


def test_a_restart_keeps_the_epoch_and_a_restored_database_gets_a_new_one(tmp_path: Path) -> None:
    first = Buffer(tmp_path)
    first.close()
    second = Buffer(tmp_path)
    second.close()
    assert first.epoch == second.epoch
    shutil.copy(tmp_path / "edge.db", tmp_path / "backup.db")
    Buffer(tmp_path).close()
    for path in tmp_path.glob("edge.db*"):
        path.unlink()
    shutil.copy(tmp_path / "backup.db", tmp_path / "edge.db")
    restored = Buffer(tmp_path)
    restored.close()
    assert restored.epoch != first.epoch


def test_a_new_epoch_is_kept_over_restarts(tmp_path: Path) -> None:
    first = Buffer(tmp_path)
    before = first.epoch
    first.new_epoch()
    first.close()
    second = Buffer(tmp_path)
    second.close()
    assert first.epoch == second.epoch != before


def test_retention_releases_only_what_every_destination_took(buffer: Buffer) -> None:
    done, half, nowhere = (take(buffer, uid) for uid in ("1.1", "1.2", "1.3"))
    buffer.admit([routed(done, "a"), routed(half, "a", "b"), routed(nowhere)])
    for held in buffer.claim("a", 10):
        buffer.settle(held.delivery_id, DeliveryEvent.ACCEPTED)
    assert buffer.release_delivered(timedelta(hours=1)) == 0
    assert buffer.release_delivered(timedelta(0)) == 1
    assert not buffer.spool.contains(done.instance_id)
    assert buffer.spool.contains(half.instance_id)
    assert buffer.spool.contains(nowhere.instance_id)


def test_a_person_sees_the_queue_and_releases_what_is_parked(buffer: Buffer, tmp_path: Path) -> None:
    buffer.admit([routed(take(buffer, "1.7"), "pacs")])
    (held,) = buffer.claim("pacs", 10)
    buffer.settle(held.delivery_id, DeliveryEvent.REFUSED, reason="not for us", dimse_status=0xA900)
    view = Hand(tmp_path)
    (parked,) = BufferView(tmp_path).queue(QueueFilter(state=DeliveryState.PARKED))
    assert parked["reason"] == "not for us"
    assert view.requeue(uid="1.7", destination=None, dry_run=True) == 1
    assert buffer.claim("pacs", 10) == []
    assert view.requeue(uid="1.7", destination=None, dry_run=False) == 1
    assert len(buffer.claim("pacs", 10)) == 1
    with pytest.raises(UnknownInstance):
        view.requeue(uid="9.9.9", destination=None, dry_run=False)


def test_a_trace_tells_why_and_where(buffer: Buffer, tmp_path: Path) -> None:
    buffer.admit([routed(take(buffer, "1.7"), "pacs")])
    (found,) = BufferView(tmp_path).trace("1.7")
    assert found["calling_ae_title"] == "SCANNER"
    assert found["outcomes"] == [{"route": "everything", "matched": True, "reason": "no condition"}]
    assert [(one["destination"], one["state"]) for one in found["deliveries"]] == [("pacs", "due")]


def test_a_commit_is_synced_to_the_disk(buffer: Buffer) -> None:
    level, mode = buffer._writer.write(
        lambda connection: (connection.pragma("synchronous"), connection.pragma("journal_mode"))
    )
    assert (level, mode) == (2, "wal")  # 2 is FULL: a commit survives a power cut


def test_times_that_a_wrong_clock_wrote_hold_nothing(buffer: Buffer) -> None:
    buffer.admit([routed(take(buffer, "1.1"), "pacs"), routed(take(buffer, "1.2"), "pacs")])
    sending, waiting = buffer.claim("pacs", 10)
    far = datetime.now(UTC) + timedelta(days=400)
    buffer.settle(waiting.delivery_id, DeliveryEvent.FAILED_TRANSIENTLY, reason="busy", not_before=far)
    buffer._writer.write(
        lambda connection: connection.execute(
            "UPDATE delivery SET lease_until = ? WHERE id = ?", (to_microseconds(far), sending.delivery_id)
        ).fetchall()
    )
    assert buffer.recover() == 1
    assert len(buffer.claim("pacs", 10)) == 2


def test_a_retry_that_only_repeats_itself_is_told_once(buffer: Buffer) -> None:
    buffer.admit([routed(take(buffer), "pacs")])
    for reason in ["busy"] * 20 + ["broken"] * 20:
        (held,) = buffer.claim("pacs", 1)
        buffer.settle(held.delivery_id, DeliveryEvent.FAILED_TRANSIENTLY, reason=reason)
    told = [event.body["reason"] for event in buffer.read_outbox(100) if event.kind == "delivery_changed"]
    assert told == ["busy", "broken"]


def test_a_requeue_of_much_holds_the_write_lock_only_briefly(buffer: Buffer, tmp_path: Path) -> None:
    buffer.admit([routed(take(buffer, f"1.{n}"), "pacs") for n in range(1200)])
    for held in buffer.claim("pacs", 2000):
        buffer.settle(held.delivery_id, DeliveryEvent.REFUSED, reason="no")
    assert Hand(tmp_path).requeue(uid=None, destination="pacs", dry_run=False) == 1200
    assert len(buffer.claim("pacs", 2000)) == 1200


def test_events_carry_only_what_the_privacy_rule_let_out(buffer: Buffer) -> None:
    sealed = take(buffer, "1.2.840.77.55")
    hidden = routed(sealed, "pacs")
    silent = type(hidden)(
        sealed=sealed,
        study_instance_uid="1.2.3",
        series_instance_uid="1.2.9.1",
        decision=hidden.decision,
        flags=(),
        shared_tags={},
    )
    buffer.admit([silent])
    (held,) = buffer.claim("pacs", 1)
    buffer.settle(held.delivery_id, DeliveryEvent.ACCEPTED)
    for event in buffer.read_outbox(10):
        assert "1.2.840.77.55" not in str(event.body)
        assert "1.2.9" not in str(event.body)


def test_what_left_the_spool_long_ago_is_forgotten_in_small_steps(
    buffer: Buffer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone, kept = [take(buffer, f"1.{n}") for n in range(5)], take(buffer, "1.9")
    buffer.admit([routed(one, "pacs") for one in [*gone, kept]])
    for held in buffer.claim("pacs", 5):
        buffer.settle(held.delivery_id, DeliveryEvent.ACCEPTED)
    assert buffer.release_delivered(timedelta(0)) == 5
    assert buffer.prune() == 0, "a trace knows of it for a month"
    assert BufferView(tmp_path).trace("1.0")[0]["released_at"]
    monkeypatch.setattr(store, "REMEMBERED", timedelta(0))
    assert [buffer.prune(limit=2) for _ in range(4)] == [2, 2, 1, 0]
    with pytest.raises(UnknownInstance):
        BufferView(tmp_path).trace("1.0")
    assert len(BufferView(tmp_path).trace("1.9")) == 1
    assert buffer.counts().instances_held == 1


def test_what_still_lies_in_its_slot_is_not_forgotten(buffer: Buffer, monkeypatch: pytest.MonkeyPatch) -> None:
    sealed = take(buffer)
    buffer.admit([routed(sealed, "pacs")])
    (held,) = buffer.claim("pacs", 1)
    buffer.settle(held.delivery_id, DeliveryEvent.ACCEPTED)
    monkeypatch.setattr(store, "REMEMBERED", timedelta(0))
    with buffer.spool.open_data_set(sealed):
        assert buffer.release_delivered(timedelta(0)) == 1
        assert buffer.prune() == 0
        assert buffer.spool.contains(sealed.instance_id)
    buffer.release_delivered(timedelta(0))
    assert buffer.prune() == 1
    assert not buffer.spool.contains(sealed.instance_id)


def test_a_database_of_another_release_is_refused_with_words_that_help(tmp_path: Path) -> None:
    Buffer(tmp_path).close()
    connection = apsw.Connection(str(tmp_path / "edge.db"))
    connection.pragma("user_version", 1)
    connection.close()
    with pytest.raises(SettingsError, match="schema 1") as refused:
        Buffer(tmp_path)
    assert "rebuild" in refused.value.hint
