"""Promise 1 as the kernel saw it: before each success that left the node, the sync of its file had returned."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from provisioning.local.program import find_program
from tests import byte_commands as commands
from tests.byte_peer import associated
from tests.byte_sink import ByteSink
from tests.conftest import Figures
from tests.edge_door import TunedEdge
from tests.edge_samples import data_set
from tests.real_programs import require
from tests.sync_trace import CALLS, MOST_BYTES, check, content_of

SIZES = (200, 9_000, 60_000, 520_000, 520_000, 3_000_000)
SENDERS = 3
ROUNDS = 3


@dataclass(frozen=True, kw_only=True)
class Traced:
    """What a node did and what it was sent."""

    lines: list[str]
    sent: set[str]
    port: int


def _tracer(trace: Path) -> tuple[str, ...]:
    """Every process of the node is traced, from its first instruction on."""
    options = ("-D", "-f", "--seccomp-bpf", "-yy", "-xx", "-s", str(MOST_BYTES), "-o", str(trace))
    return (find_program("strace", package="strace"), *options, "-e", f"trace={CALLS}")


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> Traced:
    """The trace of a node under load, with new files and used ones, small and large; and the UIDs that were sent."""
    require("strace")
    home = tmp_path_factory.mktemp("traced")
    sent: set[str] = set()
    with ByteSink() as sink:
        edge = TunedEdge(home, to=[sink.address], ready_spool_bytes=64 << 20, min_free_bytes=0)
        edge.under = _tracer(home / "trace")
        edge.start()
        for number in range(ROUNDS):
            senders = [threading.Thread(target=_send, args=(edge, sent, f"{number}{one}")) for one in range(SENDERS)]
            for sender in senders:
                sender.start()
            for sender in senders:
                sender.join(60)
            if not number:
                edge.wait(lambda: _files(edge) > len(sent) + 20, "no file was made ready", seconds=30)
                time.sleep(2)  # and is taken by those who receive
        edge.stop()
        lines = (home / "trace").read_text("utf-8").splitlines()
    assert len(sent) == ROUNDS * SENDERS * (len(SIZES) * 2 + 8)
    return Traced(lines=lines, sent=sent, port=edge.dicom_port)


def _files(edge: TunedEdge) -> int:
    return len(list(edge.data_dir.glob("spool/*/*.dcm")))


def _send(edge: TunedEdge, sent: set[str], name: str) -> None:
    chance = random.Random(name)
    with associated(edge.dicom_port, calling=f"CT{name}".encode()) as peer:
        for number, size in enumerate(SIZES * 2):
            uid = f"1.2.826.0.1.3680043.10.9999.7{name}.{1000 + number}"
            assert peer.store(uid, data_set(uid, body=chance.randbytes(size)), message_id=number) == 0x0000
            sent.add(uid)
        uids = [f"1.2.826.0.1.3680043.10.9999.8{name}.{1000 + number}" for number in range(8)]
        for number, uid in enumerate(uids):  # requests that do not wait for answers
            peer.send_message(commands.store_rq(uid.encode(), message_id=number), data_set(uid))
        assert {peer.response().status for _ in uids} == {0x0000}
        sent.update(uids)
        assert peer.release()


def test_the_file_of_each_success_was_synced_before_it_was_sent(traced: Traced, figures: Figures) -> None:
    lines, sent = traced.lines, traced.sent
    seen = check(lines, sent, traced.port)
    figures(
        f"sync before success: {seen.successes} successes, {seen.new_files} in new files, "
        f"{seen.used_files} in files written before, {len(lines)} system calls, {len(seen.violations)} violations"
    )
    assert seen.successes == len(sent)
    assert seen.new_files
    assert seen.used_files
    assert not seen.violations


def _without_syncs_of_files(lines: list[str]) -> list[str]:
    kept = [line.replace("RWF_DSYNC", "0") for line in lines]
    return [line for line in kept if "fdatasync" not in line and "fsync" not in line]


def _without_syncs_of_directories(lines: list[str]) -> list[str]:
    return [line for line in lines if " fsync(" not in line and "fsync resumed" not in line]


def _answers_first(lines: list[str]) -> list[str]:
    """As if every answer had left before whatever else was done."""
    answers = [line for line in lines if "sendto(" in line and "<TCP:" in line and "resumed" not in line]
    answers = [line.removesuffix(" <unfinished ...>") for line in answers]
    others = [line for line in lines if "sendto" not in line]
    return answers + others


def _without_writes(lines: list[str]) -> list[str]:
    return [line for line in lines if "pwrite" not in line]


@pytest.mark.parametrize(
    ("doctor", "words", "all_of_them"),
    [
        (_without_syncs_of_files, "before its file was synced", True),
        (_without_syncs_of_directories, "director", False),
        (_answers_first, "nothing of it was written", True),
        (_without_writes, "nothing of it was written", True),
    ],
    ids=["no sync of files", "no sync of directories", "answers sent first", "nothing written"],
)
def test_the_judge_sees_what_is_missing_in_a_doctored_trace(
    traced: Traced, doctor: Callable[[list[str]], list[str]], words: str, all_of_them: bool
) -> None:
    lines, sent = traced.lines, traced.sent
    found = [one for one in check(doctor(lines), sent, traced.port).violations if words in one]
    assert len(found) == len(sent) if all_of_them else found


def test_one_durable_write_that_came_too_late_is_seen_among_all_the_others(traced: Traced) -> None:
    """The last one that holds an instance is moved behind everything."""
    lines, sent = list(traced.lines), traced.sent
    durable = [place for place, line in enumerate(lines) if "RWF_DSYNC" in line]
    place, uid = next(
        (place, uid) for place in reversed(durable) for uid in sent if uid.encode() in content_of(lines[place])
    )
    moved = lines.pop(place)
    if moved.endswith(" <unfinished ...>"):
        process, name = moved.split()[0], moved.split("(")[0].split()[-1]
        resumed = f"<... {name} resumed>"  # short process numbers have more blanks behind them
        end = next(at for at in range(place, len(lines)) if lines[at].split()[0] == process and resumed in lines[at])
        moved = moved.removesuffix(" <unfinished ...>") + lines.pop(end).partition(resumed)[2]
    violations = check([*lines, moved], sent, traced.port).violations
    assert violations == [f"{uid}: success, and nothing of it was written"]
