"""The pure decisions of the control plane's core."""

from __future__ import annotations

import inspect
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control import errors, http_errors, policy_errors
from control.audit.chain import GENESIS, AuditEntry, first_break, hash_of
from control.enrolment import tokens
from control.errors import ControlError, InvalidCursor, SettingsError, TooManyAttempts
from control.limits import MAX_ADDRESSES, AttemptLimiter
from control.nodes.clones import WINDOW, Boot, hear
from control.nodes.reports import NodeFacts, node_state
from control.paging import read_cursor, write_cursor
from control.policies.board import PolicyBoard
from control.policies.revisions import next_place
from control.settings import load_settings
from control.sync import rpc
from edge.sync.join_token import read_token

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
PLACES = st.tuples(st.integers(1, 1000), st.integers(1, 1000))


@given(active=PLACES, version=st.integers(1, 1000))
def test_what_is_published_last_always_comes_later_in_the_order(active: tuple[int, int], version: int) -> None:
    place = next_place(active, version)
    assert place[1] == version
    assert place > active or (place == active and version == active[1])


@given(active=PLACES, version=st.integers(1, 1000), furthest=PLACES)
def test_a_publication_always_passes_what_nodes_run_already(
    active: tuple[int, int], version: int, furthest: tuple[int, int]
) -> None:
    place = next_place(active, version, furthest)
    assert place[1] == version
    assert place >= active
    assert place > furthest or place == active == max(active, furthest)


@given(active=PLACES, version=st.integers(1, 1000))
def test_a_node_cannot_use_up_the_generations(active: tuple[int, int], version: int) -> None:
    assert next_place(active, version, (2**63 - 1, 1)) == next_place(active, version)


def test_the_first_publication_begins_generation_one() -> None:
    assert next_place(None, 4) == (1, 4)


@given(boots=st.lists(st.tuples(st.uuids(), st.integers(0, 3600)), unique_by=lambda one: one[0], max_size=30))
def test_restarts_never_look_like_a_clone(boots: list[tuple[object, int]]) -> None:
    history: tuple[Boot, ...] = ()
    now = NOON
    for boot_id, pause in boots:
        now += timedelta(seconds=pause)
        for _ in range(3):
            heard = hear(history, str(boot_id), now)
            history = heard.boots
            assert not heard.clone_suspected


@given(pause=st.integers(0, 120), others=st.lists(st.integers(2, 4), min_size=0, max_size=2))
def test_a_boot_that_comes_back_within_minutes_is_a_clone(pause: int, others: list[int]) -> None:
    history: tuple[Boot, ...] = ()
    heard = None
    now = NOON
    for boot in ["1", *("x" * other for other in others), "y", "1"]:
        now += timedelta(seconds=pause)
        heard = hear(history, boot, now)
        history = heard.boots
    assert heard is not None
    assert heard.clone_suspected


def test_the_suspicion_ends_when_only_one_box_goes_on() -> None:
    heard = hear((), "a", NOON)
    for boot in ("b", "a"):
        heard = hear(heard.boots, boot, NOON)
    assert heard.clone_suspected
    assert hear(heard.boots, "a", NOON + WINDOW).clone_suspected
    assert not hear(heard.boots, "a", NOON + WINDOW + timedelta(seconds=1)).clone_suspected


def chain(length: int) -> list[AuditEntry]:
    entries: list[AuditEntry] = []
    for number in range(1, length + 1):
        entry = AuditEntry(
            sequence=number,
            at=NOON + timedelta(microseconds=number),
            actor="user:admin",
            action="site.add",
            object=f"site:{number}",
            before=None,
            after={"name": f"{number}"},
            previous_hash=entries[-1].hash if entries else GENESIS,
            site=f"{number}",
        )
        entries.append(replace(entry, hash=hash_of(entry)))
    return entries


TAMPER = (
    {"actor": "user:other"},
    {"action": "x"},
    {"object": "x"},
    {"at": NOON},
    {"before": {"name": "x"}},
    {"after": None},
    {"hash": "0" * 64},
    {"site": "elsewhere"},
    {"site": None},
)


@given(length=st.integers(1, 12), at=st.integers(0, 11), change=st.sampled_from(TAMPER))
def test_any_change_of_any_row_is_found_at_that_row(length: int, at: int, change: dict[str, object]) -> None:
    entries = chain(length)
    assert first_break(entries) is None
    at %= length
    entries[at] = replace(entries[at], **change)  # type: ignore[arg-type]
    assert first_break(entries) == at + 1


@given(length=st.integers(2, 12), at=st.integers(0, 10))
def test_a_removed_row_is_found_unless_it_was_the_last(length: int, at: int) -> None:
    entries = chain(length)
    at %= length - 1
    del entries[at]
    assert first_break(entries) == at + 2


def all_errors() -> list[type[ControlError]]:
    found = [*inspect.getmembers(errors, inspect.isclass), *inspect.getmembers(policy_errors, inspect.isclass)]
    return list(dict.fromkeys(one for _, one in found if issubclass(one, ControlError)))


ARGUMENTS: dict[type[ControlError], dict[str, Any]] = {
    TooManyAttempts: {"retry_after": 3},
    errors.TooManyRequests: {"retry_after": 3},
    policy_errors.PolicyMoved: {"etag": '"2-1.1"'},
    policy_errors.RolloutMoved: {"etag": '"r1-2"'},
    policy_errors.LayerMoved: {"etag": '"1-0"'},
    errors.InvalidEvent: {"sequence": 7, "why": "no UID"},
    errors.InvalidFilter: {"message": "A field is missing.", "at": 3},
}


@pytest.mark.parametrize("kind", all_errors())
def test_every_error_has_words_a_code_and_a_status_on_both_wires(kind: type[ControlError]) -> None:
    error = kind(**ARGUMENTS.get(kind, {}))
    assert str(error)
    assert error.code == error.code.upper()
    assert 400 <= http_errors.status_of(error) < 600
    if kind not in {ControlError, errors.SettingsError}:
        assert http_errors.status_of(error) != 500
    assert rpc.status_of(error) is not None


def test_codes_are_the_words_of_the_wire() -> None:
    assert [kind().code for kind in (errors.TokenUsed, errors.NameTaken, errors.InvalidCsr)] == [
        "TOKEN_USED",
        "NAME_TAKEN",
        "INVALID_CSR",
    ]


@pytest.mark.parametrize("endpoint", ["10.0.0.1:8443", "mesh.clinic.example:443", "localhost:1"])
def test_a_box_reads_the_token_that_the_centre_wrote(endpoint: str) -> None:
    drawn = tokens.draw()
    read = read_token(tokens.write(drawn, endpoint=endpoint, ca_pin="a" * 64))
    assert (str(read.control), read.ca_sha256) == (endpoint, "a" * 64)
    assert tokens.check(read.token_id, read.secret) == drawn


def test_tokens_are_never_drawn_twice() -> None:
    assert len({tokens.draw().secret for _ in range(100)}) == 100


class Seconds:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_brake_is_for_one_address_and_one_window() -> None:
    seconds = Seconds()
    limiter = AttemptLimiter(failures=3, window_seconds=60, monotonic=seconds)
    for _ in range(3):
        limiter.check("a")
        limiter.failed("a")
    with pytest.raises(TooManyAttempts) as caught:
        limiter.check("a")
    assert caught.value.retry_after == 60
    limiter.check("b")
    seconds.now = 60.0
    limiter.check("a")


def test_attempts_at_once_do_not_pass_the_brake_together() -> None:
    limiter = AttemptLimiter(failures=3, window_seconds=60)
    limiter.reserve("a")
    limiter.give_back("a")
    for _ in range(3):
        limiter.reserve("a")
    with pytest.raises(TooManyAttempts):
        limiter.reserve("a")
    limiter.give_back("a")
    limiter.reserve("a")


def test_only_this_machine_is_a_trusted_proxy_until_others_are_named(tmp_path: Path) -> None:
    assert load_settings({"data_dir": tmp_path}, {}, None).trusted_proxies == ("127.0.0.1", "::1")
    named = {"SKERRY_CONTROL_TRUSTED_PROXIES": "10.0.0.2, 10.1.0.0/24"}
    assert load_settings({"data_dir": tmp_path}, named, None).trusted_proxies == ("10.0.0.2", "10.1.0.0/24")
    with pytest.raises(SettingsError, match="trusted_proxies"):
        load_settings({"data_dir": tmp_path}, {"SKERRY_CONTROL_TRUSTED_PROXIES": "*"}, None)


def test_the_brake_forgets_rather_than_grows() -> None:
    limiter = AttemptLimiter(failures=3, window_seconds=60)
    for number in range(MAX_ADDRESSES + 10):
        limiter.failed(str(number))
    assert len(limiter._seen) == MAX_ADDRESSES


@given(
    place=st.lists(
        st.one_of(
            st.integers(-(2**63), 2**63 - 1),
            st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40),
        ),
        max_size=4,
    )
)
def test_a_cursor_gives_back_its_place(place: list[int | str]) -> None:
    assert list(read_cursor(write_cursor(*place), *(type(one) for one in place))) == place


@given(cursor=st.text(max_size=60))
def test_any_other_text_is_an_invalid_cursor(cursor: str) -> None:
    with pytest.raises(InvalidCursor):
        read_cursor(cursor, str, int)


@pytest.mark.parametrize(
    ("age", "revoked", "state"),
    [
        (None, False, "never"),
        (0, False, "online"),
        (180, False, "online"),
        (181, False, "silent"),
        (0, True, "revoked"),
    ],
)
def test_a_silent_node_never_looks_well(age: int | None, revoked: bool, state: str) -> None:
    facts = NodeFacts(
        id="n",
        name="n",
        site="s",
        enrolled_at=NOON,
        certificate_ends=NOON,
        revoked_at=NOON if revoked else None,
        last_contact_at=None if age is None else NOON - timedelta(seconds=age),
        reported_at=None,
        report=None,
        clone_suspected=False,
    )
    assert node_state(facts, NOON) == state


async def test_closing_the_board_ends_all_waiting() -> None:
    board = PolicyBoard()
    board.close()
    await board.wait(1, 60, seen=(0, 0))
