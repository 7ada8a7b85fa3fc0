"""The other direction: what leaves keeps to what the destination said, in every habit that a destination may have."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Literal

import pytest

from tests.byte_pdus import Context, Rejected
from tests.byte_peer import BytePeer
from tests.byte_sink import Arrival, ByteSink, Habits
from tests.edge_door import TunedEdge
from tests.edge_samples import CT, EXPLICIT, data_set

SECOND = "1.2.840.10008.5.1.4.1.1.4"  # MR Image Storage


def _contents(count: int, seed: int = 1, *, largest: int = 200_000) -> dict[str, bytes]:
    chance = random.Random(seed)
    made = {}
    for number in range(count):
        uid = f"1.2.6.{seed}.{number}"
        made[uid] = data_set(uid, body=chance.randbytes(chance.randrange(2, largest) & ~1))
    return made


def _send(edge: TunedEdge, contents: dict[str, bytes], *, sop_class: str = CT) -> None:
    with BytePeer(edge.dicom_port, seconds=20) as peer:
        peer.associate([Context(abstract_syntax=sop_class)])
        for uid, content in contents.items():
            assert peer.store(uid, content, sop_class=sop_class) == 0x0000
        assert peer.release()


def _settled(edge: TunedEdge, uid: str, state: str, *, at: str | None = None) -> None:
    """At this destination, or at all."""

    def states() -> set[str]:
        return {one["state"] for one in edge.held(uid)[0]["deliveries"] if at in (None, one["destination"])}

    edge.wait(lambda: states() == {state}, f"{uid} is not {state}: {edge.held(uid)[0]['deliveries']}", seconds=30)


@contextmanager
def _sinks(habits: Mapping[str, Habits]) -> Iterator[Mapping[str, ByteSink]]:
    """A destination for each, under its name: one node serves them all."""
    with ExitStack() as stack:
        yield {name: stack.enter_context(ByteSink(one)) for name, one in habits.items()}


def _to(sinks: Mapping[str, ByteSink]) -> list[str]:
    return [f"{name}@127.0.0.1:{sink.port}" for name, sink in sinks.items()]


def _whole(arrivals: list[Arrival]) -> dict[str, bytes]:
    return {one.uid: one.data_set for one in arrivals}


def test_no_pdu_is_longer_than_each_destination_takes(tmp_path: Path) -> None:
    """0 is no limit (PS3.8 Annex D.1)."""
    limits = {f"TAKES{limit}": limit for limit in (256, 4096, 16_384, 131_072, 1 << 20, 0)}
    contents = _contents(6, largest=600_000)
    with (
        _sinks({name: Habits(maximum_length=limit) for name, limit in limits.items()}) as sinks,
        TunedEdge(tmp_path, to=_to(sinks)) as edge,
    ):
        _send(edge, contents)
        for name, limit in limits.items():
            assert _whole(sinks[name].wait_arrivals(6)) == contents, name
            longest = max(seen.longest_pdu for seen in sinks[name].associations)
            assert longest <= (limit or 1 << 30), name
            assert limit or longest > 16_384, "it uses what it is given"
        for uid in contents:
            _settled(edge, uid, "delivered")


def test_no_more_requests_wait_than_each_destination_grants_and_late_answers_find_their_requests(
    tmp_path: Path,
) -> None:
    windows: dict[str, tuple[int, int] | None] = {"NONE": None, "ONE": (1, 1), "FOUR": (4, 1), "ANY": (0, 0)}
    contents = _contents(24, largest=5_000)
    refused = "1.2.6.1.13"

    def habits(window: tuple[int, int] | None) -> Habits:
        together = 1 if window in (None, (1, 1)) else 4
        return Habits(window=window, together=together, status=lambda uid: 0xC000 if uid == refused else 0x0000)

    with (
        _sinks({name: habits(window) for name, window in windows.items()}) as sinks,
        TunedEdge(tmp_path, to=_to(sinks)) as edge,
    ):
        _send(edge, contents)
        for name, window in windows.items():
            assert _whole(sinks[name].wait_arrivals(24)) == contents, name
            outstanding = max(seen.most_outstanding for seen in sinks[name].associations)
            assert outstanding <= (window[0] or 1_000 if window else 1), name
        for uid in contents:
            _settled(edge, uid, "parked" if uid == refused else "delivered")


def test_two_requests_that_wait_for_answers_never_share_a_message_id(tmp_path: Path) -> None:
    with (
        ByteSink(Habits(window=(8, 1), together=8)) as sink,
        TunedEdge(tmp_path, to=[sink.address]) as edge,
    ):
        _send(edge, _contents(40, largest=300))
        sink.wait_arrivals(40)
        for seen in sink.associations:
            ids = [one.message_id for one in seen.arrivals]
            assert all(len(set(ids[start : start + 8])) == len(ids[start : start + 8]) for start in range(len(ids)))


@pytest.mark.parametrize("window", [None, (8, 1)], ids=["in turns", "in a window"])
def test_a_destination_that_breaks_off_gets_everything_in_the_end(
    tmp_path: Path, window: tuple[int, int] | None
) -> None:
    contents = _contents(10, largest=60_000)
    ends: Sequence[Literal["abort", "close", "reset"]] = ("abort", "close", "reset")
    bad = {one.upper(): Habits(window=window, ends_after=150_000, ends_with=one) for one in ends}
    with _sinks(bad) as sinks, TunedEdge(tmp_path, to=_to(sinks), retry_cap_seconds=0.3) as edge:
        _send(edge, contents)
        for sink in sinks.values():
            ended = partial(_was_ended, sink)
            sink.wait(ended, "it never came so far")
            sink.habits = Habits(window=window)
        for uid in contents:
            _settled(edge, uid, "delivered")
        for name, sink in sinks.items():
            assert _whole(sink.arrivals) == contents, name


def _was_ended(sink: ByteSink) -> bool:
    return any(seen.end == "ended-by-us" for seen in sink.associations)


def test_a_destination_that_answers_late_is_waited_for(tmp_path: Path) -> None:
    contents = _contents(3, largest=300)
    with ByteSink(Habits(delay=1.5)) as sink, TunedEdge(tmp_path, to=[sink.address]) as edge:
        _send(edge, contents)
        for uid in contents:
            _settled(edge, uid, "delivered")
        assert len(sink.arrivals) == 3, "none was sent twice"


def test_a_release_collision_ends_in_order_and_costs_no_delivery(tmp_path: Path) -> None:
    """PS3.8 section 7.2.2: the requestor answers first, then the acceptor."""
    contents = _contents(3, largest=300)
    with ByteSink(Habits(collides=True)) as sink, TunedEdge(tmp_path, to=[sink.address]) as edge:
        _send(edge, contents)
        for uid in contents:
            _settled(edge, uid, "delivered")
        edge.stop()
        assert {seen.end for seen in sink.associations} == {"collided"}
        assert len(sink.arrivals) == 3


def test_associations_are_released_when_there_is_nothing_to_send(tmp_path: Path) -> None:
    with ByteSink() as sink, TunedEdge(tmp_path, to=[sink.address]) as edge:
        _send(edge, _contents(3, largest=300))
        sink.wait_arrivals(3)
        edge.stop()
        assert {seen.end for seen in sink.associations} == {"released"}


def test_a_destination_that_takes_one_sop_class_gets_that_and_the_other_waits_for_a_person(tmp_path: Path) -> None:
    def only_ct(context: Context) -> str | None:
        return context.transfer_syntaxes[0] if context.abstract_syntax == CT else None

    with ByteSink(Habits(accepts=only_ct)) as sink, TunedEdge(tmp_path, to=[sink.address]) as edge:
        _send(edge, {"1.2.7.1": data_set("1.2.7.1", SECOND)}, sop_class=SECOND)
        _send(edge, {"1.2.7.2": data_set("1.2.7.2")})
        _settled(edge, "1.2.7.2", "delivered")
        _settled(edge, "1.2.7.1", "parked")
        assert [(one.uid, one.transfer_syntax) for one in sink.arrivals] == [("1.2.7.2", EXPLICIT)]


def test_a_destination_that_refuses_the_association_is_tried_again_until_it_takes_it(tmp_path: Path) -> None:
    contents = _contents(2, largest=300)
    refusals = {
        "BUSY": Rejected(result=2, source=3, reason=2),
        "CALLED": Rejected(result=1, source=1, reason=7),
        "CALLING": Rejected(result=1, source=1, reason=3),
    }
    with (
        _sinks({name: Habits(rejects=rejected) for name, rejected in refusals.items()}) as sinks,
        TunedEdge(tmp_path, to=_to(sinks), retry_cap_seconds=0.3) as edge,
    ):
        _send(edge, contents)
        time.sleep(1)
        for sink in sinks.values():
            assert not sink.arrivals
            sink.habits = Habits()
        for uid in contents:
            _settled(edge, uid, "delivered")


def test_a_destination_that_never_reads_holds_up_no_other(tmp_path: Path) -> None:
    contents = _contents(6, largest=2_000_000)
    with ByteSink(Habits(reads=False)) as deaf, ByteSink() as good:
        to = [f"DEAF@127.0.0.1:{deaf.port}", good.address]
        with TunedEdge(tmp_path, to=to) as edge:
            _send(edge, contents)
            assert _whole(good.wait_arrivals(6)) == contents
            started = time.monotonic()
            edge.stop()
            assert time.monotonic() - started < 11


STATUSES: dict[int, str] = {
    0x0000: "delivered",
    0xB000: "delivered",
    0xB007: "delivered",
    0xC000: "parked",
    0xA900: "parked",
    0x0122: "parked",
}


def test_every_status_settles_its_own_instance_and_no_other(tmp_path: Path) -> None:
    """PS3.4 Table B.2-1: success and warnings are delivered, failures wait for a person."""
    contents = _contents(3, largest=300)
    habits = {f"S{status:04X}": Habits(status=partial(_second_gets, status)) for status in STATUSES}
    with _sinks(habits) as sinks, TunedEdge(tmp_path, to=_to(sinks)) as edge:
        _send(edge, contents)
        for status, state in STATUSES.items():
            _settled(edge, "1.2.6.1.0", "delivered", at=f"S{status:04X}")
            _settled(edge, "1.2.6.1.1", state, at=f"S{status:04X}")
            _settled(edge, "1.2.6.1.2", "delivered", at=f"S{status:04X}")


def _second_gets(status: int, uid: str) -> int:
    return status if uid.endswith(".1") else 0x0000
