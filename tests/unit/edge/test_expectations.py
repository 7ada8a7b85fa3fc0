"""What modalities announce, in the buffer: kept whole or not at all, counted down by images, bounded, forgotten."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import apsw
import pytest

from edge.buffer import expectations
from edge.buffer.expectations import Expectations, LedgerFailing, Outcome, Series, StepNews
from edge.buffer.store import Buffer
from tests.edge_samples import CT, data_set, routed, take


@pytest.fixture
def buffer(tmp_path: Path) -> Iterator[Buffer]:
    """An empty one."""
    buffer = Buffer(tmp_path)
    yield buffer
    buffer.close()


@pytest.fixture
def heard(buffer: Buffer, tmp_path: Path) -> Iterator[Expectations]:
    """What a process that receives writes to."""
    heard = Expectations(tmp_path / "edge.db")
    yield heard
    heard.close()


def news(finished: bool, *uids: str, uid: str = "9.1", study: str | None = "1.2.3") -> StepNews:
    """A step with one series; without UIDs, with none."""
    series = (Series(uid="1.2.9.1", instances=uids),) if uids else None
    return StepNews(uid=uid, finished=finished, study=study, series=series)


def admit(buffer: Buffer, *uids: str) -> None:
    """These images are here."""
    buffer.admit([routed(take(buffer, uid, data_set(uid)), "pacs") for uid in uids])


def rows(folder: Path) -> list[tuple[str, str, str, int, int, int]]:
    """Every expectation: source, study, series, final, named, missing; the last one is counted anew as well."""
    connection = apsw.Connection(str(folder / "edge.db"))
    found = list(
        connection.execute(
            "SELECT source, study, series, final, named, missing, "
            "(SELECT count(*) FROM expected WHERE expectation = id AND here = 0) FROM expectation ORDER BY id"
        )
    )
    connection.close()
    assert all(row[5] == row[6] for row in found), "the trigger counts what there is"
    return [row[:6] for row in found]


def test_a_step_is_kept_with_what_it_names_and_changes_no_more_when_it_is_over(
    heard: Expectations, tmp_path: Path
) -> None:
    assert heard.change(news(True)) is Outcome.UNKNOWN
    assert heard.begin(news(False)) is Outcome.KEPT
    assert heard.begin(news(False)) is Outcome.KNOWN
    assert heard.change(news(False, "1.1", "1.2", study=None)) is Outcome.KEPT
    assert rows(tmp_path) == [("step", "1.2.3", "1.2.9.1", 0, 2, 2)]
    assert heard.change(news(True, "1.1", "1.2", "1.3", "1.3")) is Outcome.KEPT
    assert rows(tmp_path) == [("step", "1.2.3", "1.2.9.1", 1, 3, 3)]
    assert heard.change(news(True, "1.1")) is Outcome.FINISHED


def test_a_step_that_only_says_that_it_is_over_keeps_what_it_named_before(heard: Expectations, tmp_path: Path) -> None:
    heard.begin(news(False, "1.1"))
    heard.change(news(True))
    assert rows(tmp_path) == [("step", "1.2.3", "1.2.9.1", 1, 1, 1)]


def test_images_count_down_whether_they_come_before_or_after(
    buffer: Buffer, heard: Expectations, tmp_path: Path
) -> None:
    admit(buffer, "1.1")
    heard.begin(news(False))
    heard.change(news(True, "1.1", "1.2", "1.3"))
    assert rows(tmp_path)[0][4:] == (3, 2)
    admit(buffer, "1.2", "1.2", "1.9")
    admit(buffer, "1.2")
    assert rows(tmp_path)[0][4:] == (3, 1)


def test_a_step_that_names_another_study_than_its_images_is_of_theirs(
    buffer: Buffer, heard: Expectations, tmp_path: Path
) -> None:
    heard.begin(news(False, study=""))
    heard.change(news(True, "1.1", study="7.7"))
    admit(buffer, "1.1")
    assert rows(tmp_path)[0][1] == "1.2.3"


def test_a_commitment_request_is_of_the_study_whose_images_it_names(
    buffer: Buffer, heard: Expectations, tmp_path: Path
) -> None:
    admit(buffer, "1.1")
    assert heard.asked("8.1", ["1.1", "1.2"]) is Outcome.KEPT
    assert heard.asked("8.2", ["1.3"]) is Outcome.KEPT
    assert rows(tmp_path) == [
        ("commitment", "1.2.3", "1.2.9.1", 1, 2, 1),
        ("commitment", "", "", 1, 1, 1),
    ]
    admit(buffer, "1.3")
    assert heard.asked("8.1", ["1.1", "1.2"]) is Outcome.KEPT, "the same again replaces it"
    assert sorted(rows(tmp_path)) == [
        ("commitment", "1.2.3", "1.2.9.1", 1, 1, 0),
        ("commitment", "1.2.3", "1.2.9.1", 1, 2, 1),
    ]


def test_a_commitment_request_over_two_studies_is_of_neither(
    buffer: Buffer, heard: Expectations, tmp_path: Path
) -> None:
    from dataclasses import replace

    heard.asked("8.1", ["1.1", "1.2"])
    admit(buffer, "1.1")
    other = routed(take(buffer, "1.2", data_set("1.2")), "pacs")
    buffer.admit([replace(other, study_instance_uid="5.5", series_instance_uid="5.6")])
    assert rows(tmp_path) == [("commitment", "-", "-", 1, 2, 0)]


def test_only_what_lies_in_the_spool_is_in_custody(buffer: Buffer, heard: Expectations) -> None:
    admit(buffer, "1.1")
    assert heard.in_custody(["1.1", "1.2"]) == {"1.1": CT}


def test_there_is_an_end_to_what_is_remembered(heard: Expectations, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expectations, "MOST_IN_ALL", 3)
    monkeypatch.setattr(expectations, "MOST_STEPS", 2)
    assert heard.begin(news(False, "1.1", "1.2")) is Outcome.KEPT
    assert heard.change(news(True, "1.1", "1.2")) is Outcome.FULL
    assert heard.asked("8.1", ["1.3", "1.4"]) is Outcome.FULL
    assert heard.begin(news(False, uid="9.2")) is Outcome.KEPT
    assert heard.begin(news(False, uid="9.3")) is Outcome.FULL
    assert heard.change(news(True)) is Outcome.KEPT, "what names nothing new ends all the same"


def test_a_database_that_cannot_be_used_is_said_and_tried_again(tmp_path: Path) -> None:
    (tmp_path / "edge.db").write_bytes(b"no database at all" * 100)
    heard = Expectations(tmp_path / "edge.db")
    with pytest.raises(LedgerFailing):
        heard.begin(news(False))
    (tmp_path / "edge.db").unlink()
    assert heard.begin(news(False)) is Outcome.KEPT
    heard.close()


_CHILD = """
import os, signal, sys
from pathlib import Path
from edge.buffer import expectations
from edge.buffer.expectations import Expectations, Series, StepNews

def die(*_arguments, **_named):
    os.kill(os.getpid(), signal.SIGKILL)

heard, moment = Expectations(Path(sys.argv[1]) / "edge.db"), sys.argv[2]
series = (Series(uid="1.2.9.1", instances=tuple(f"1.{n}" for n in range(500))),)
heard.begin(StepNews(uid="9.1", finished=False, study="1.2.3"))
if moment == "before its names":
    die()
if moment == "in the middle of its names":
    real = expectations.run
    expectations.run = lambda connection, query, **values: (
        die() if query == "count_expected" else real(connection, query, **values)
    )
heard.change(StepNews(uid="9.1", finished=True, series=series))
print("acknowledged", flush=True)
die()
"""
MOMENTS: dict[str, tuple[str, Sequence[tuple[object, ...]]]] = {
    "before its names": ("", []),
    "in the middle of its names": ("", []),
    "after its answer": ("acknowledged", [("step", "1.2.3", "1.2.9.1", 1, 500, 500)]),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_kill_leaves_what_was_answered_and_no_half_of_it(tmp_path: Path, moment: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", _CHILD, str(tmp_path), moment],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=Path(__file__).resolve().parents[3],
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    said, kept = MOMENTS[moment]
    assert ended.stdout.strip() == said
    assert rows(tmp_path) == list(kept)
    heard = Expectations(tmp_path / "edge.db")
    again = heard.change(StepNews(uid="9.1", finished=True, series=(Series(uid="1.2.9.1", instances=("1.1",)),)))
    assert again is (Outcome.FINISHED if kept else Outcome.KEPT)
    heard.close()
