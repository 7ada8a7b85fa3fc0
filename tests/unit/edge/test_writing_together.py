"""Several processes write one database: each waits for its turn, and what nobody waits for shares a commit."""

from __future__ import annotations

import functools
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from edge.buffer.database import open_reader
from edge.buffer.deliveries import Deliveries
from edge.buffer.named_sql import load_queries
from edge.buffer.states import DeliveryEvent, sources, target
from edge.buffer.store import Buffer
from edge.buffer.transitions import Transition
from edge.buffer.turn import Turn
from edge.buffer.writer import Writer
from edge.errors import IllegalTransition
from tests.edge_samples import routed, take

WRITES = 200
_CHILD = """
import sys
from pathlib import Path
from edge.buffer.deliveries import Deliveries
buffer = Deliveries(Path(sys.argv[1]))
for number in range(int(sys.argv[3])):
    buffer.set_note(f"{sys.argv[2]}.{number}", "x")
buffer.close()
"""


@pytest.fixture
def buffer(tmp_path: Path) -> Iterator[Buffer]:
    opened = Buffer(tmp_path)
    yield opened
    opened.close()


def test_processes_that_write_at_once_wait_for_each_other_and_none_fails(tmp_path: Path, buffer: Buffer) -> None:
    words = [sys.executable, "-c", _CHILD, str(tmp_path)]
    with (
        subprocess.Popen([*words, "a", str(WRITES)]) as one,
        subprocess.Popen([*words, "b", str(WRITES)]) as other,
    ):
        for number in range(WRITES):
            buffer.set_note(f"c.{number}", "x")
        assert (one.wait(60), other.wait(60)) == (0, 0)
    count = open_reader(tmp_path / "edge.db").execute("SELECT count(*) FROM note WHERE value = 'x'").get
    assert count == 3 * WRITES


def test_a_turn_is_waited_for_and_comes(tmp_path: Path) -> None:
    held, wanted, order = Turn(tmp_path / "edge.db"), Turn(tmp_path / "edge.db"), list[str]()

    def wait() -> None:
        with wanted:
            order.append("second")

    with held:
        waiting = threading.Thread(target=wait)
        waiting.start()
        time.sleep(0.1)
        order.append("first")
    waiting.join(5)
    assert order == ["first", "second"]


def test_what_nobody_waits_for_shares_a_commit_and_is_there_soon(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "edge.db")
    commits = 0

    def count() -> bool:
        nonlocal commits
        commits += 1
        return False

    writer._connection.set_commit_hook(count)
    began = time.monotonic()
    insert = "INSERT INTO note (key, value, written_at) VALUES (hex(randomblob(8)), '', 0)"
    futures = [writer.write_soon(functools.partial(apsw.Connection.execute, statements=insert)) for _ in range(32)]
    for future in futures:
        future.result(5)
    assert time.monotonic() - began < 1
    assert commits <= 2
    writer.close()


def test_what_somebody_waits_for_does_not_wait_for_others(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "edge.db")
    began = time.monotonic()
    for _ in range(20):
        writer.write(lambda connection: connection.execute("DELETE FROM note"))
    assert time.monotonic() - began < 0.3
    writer.close()


def test_an_outcome_that_cannot_be_says_so_later_and_spoils_no_other(buffer: Buffer) -> None:
    buffer.admit([routed(take(buffer, f"1.2.{n}"), "pacs") for n in range(2)])
    one, other = buffer.claim("pacs", 2)
    buffer.settle(one.delivery_id, DeliveryEvent.REFUSED)
    wrong = buffer.settle_soon(Transition(delivery_id=one.delivery_id, event=DeliveryEvent.ACCEPTED))
    right = buffer.settle_soon(Transition(delivery_id=other.delivery_id, event=DeliveryEvent.ACCEPTED))
    assert right.result(5) is None
    with pytest.raises(IllegalTransition):
        wrong.result(5)


def test_a_start_takes_nothing_from_a_process_that_still_sends(tmp_path: Path, buffer: Buffer) -> None:
    buffer.admit([routed(take(buffer), "pacs")])
    sender = Deliveries(tmp_path)
    sender.sends()
    assert len(sender.claim("pacs", 1)) == 1
    assert buffer.recover() == 0
    assert sender.take_over("elsewhere") == 0
    assert sender.take_over("pacs") == 1
    assert len(sender.claim("pacs", 1)) == 1
    sender.close()
    assert buffer.recover() == 1


def test_the_states_in_the_queries_are_those_of_the_table() -> None:
    queries = load_queries("deliveries.sql") | load_queries("hand.sql")
    for name, event in (
        ("elapse_backoff", DeliveryEvent.BACKOFF_ELAPSED),
        ("claim", DeliveryEvent.CLAIMED),
        ("expire_leases", DeliveryEvent.LEASE_EXPIRED),
        ("deliver_together", DeliveryEvent.ACCEPTED),
        ("release_together", DeliveryEvent.RELEASED_BY_OPERATOR),
        ("hold_together", DeliveryEvent.HELD_BY_OPERATOR),
        ("discard_together", DeliveryEvent.DISCARDED_BY_OPERATOR),
    ):
        becomes, *of = re.findall(r"state = '(\w+)'", queries[name])
        of += [
            word for group in re.findall(r"state IN \(('[^)]*)\)", queries[name]) for word in re.findall(r"\w+", group)
        ]
        assert (becomes, set(of)) == (target(event), set(sources(event)))


@pytest.mark.parametrize("query", ["anything_due", "elapse_backoff", "claim", "expire_leases"])
def test_looking_for_work_never_reads_what_is_done(buffer: Buffer, tmp_path: Path, query: str) -> None:
    connection = apsw.Connection(str(tmp_path / "edge.db"))
    values = dict.fromkeys(("destination", "now", "absurd", "limit", "lease_until", "until", "least"), 1)
    plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {load_queries('deliveries.sql')[query]}", values)]
    assert not [step for step in plan if step.startswith("SCAN delivery") and "USING" not in step], plan
    connection.close()
