"""What can be asked of a node is checked before it is asked; the life of a command is one table."""

from __future__ import annotations

import pytest

from control.errors import InvalidCommand
from control.node_commands.kinds import KINDS, checked
from control.node_commands.states import OPEN, TABLE, CommandState, Word, after


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        ("release", {"all": "true"}),
        ("release", {"destination": "pacs", "state": "parked", "older_seconds": "3600"}),
        ("hold", {"uid": "1.2.3", "reason": "the archive is being moved"}),
        ("reroute", {"destination": "old", "to": "new"}),
        ("support-bundle", {}),
        ("outage-drill", {"seconds": "60"}),
        ("echo", {"destination": "pacs"}),
        ("drain", {}),
        ("drain", {"end": "true", "reason": "the disk is new", "dry_run": "true"}),
        ("log-tail", {"lines": "1000", "level": "warning"}),
        ("reroute", {"destination": "old", "to": "new", "dry_run": "true"}),
        ("hold", {"all": "true", "dry_run": "true"}),
        ("release", {"all": "true", "dry_run": "true"}),
    ],
)
def test_what_a_node_understands_passes(kind: str, arguments: dict[str, str]) -> None:
    assert checked(kind, arguments) == arguments


@pytest.mark.parametrize(
    ("kind", "arguments", "words"),
    [
        ("relese", {}, "There is no command 'relese'"),
        ("release", {}, "which deliveries"),
        ("hold", {"reason": "because"}, "which deliveries"),
        ("release", {"destinaton": "pacs"}, "Is `destination` meant?"),
        ("release", {"all": "yes"}, "`all` has a value"),
        ("release", {"all": "true", "uid": "1.2"}, "all=true means everything"),
        ("release", {"uid": "1.2; DROP"}, "`uid` has a value"),
        ("reroute", {"all": "true"}, "`to` is needed"),
        ("hold", {"all": "true", "reason": "two\nlines"}, "`reason` has a value"),
        ("hold", {"all": "true", "calling_ae_title": "A" * 17}, "`calling_ae_title` has a value"),
        ("outage-drill", {"seconds": "a while"}, "`seconds` has a value"),
        ("support-bundle", {"all": "true"}, "`all` is not known"),
        ("log-tail", {"lines": "1001"}, "`lines` has a value"),
        ("log-tail", {"lines": "0"}, "`lines` has a value"),
        ("log-tail", {"level": "loud"}, "`level` has a value"),
        ("drain", {"end": "yes"}, "`end` has a value"),
        ("release", {"dry_run": "true"}, "which deliveries"),
    ],
)
def test_what_it_would_not_understand_is_refused_in_words(kind: str, arguments: dict[str, str], words: str) -> None:
    with pytest.raises(InvalidCommand) as caught:
        checked(kind, arguments)
    assert words in str(caught.value)
    assert caught.value.hint


def test_every_mistake_is_told_at_once() -> None:
    with pytest.raises(InvalidCommand) as caught:
        checked("reroute", {"uid": "x", "how": "fast"})
    assert str(caught.value).count("`") == 6


def test_a_near_miss_is_pointed_at() -> None:
    with pytest.raises(InvalidCommand) as caught:
        checked("outage-dril", {})
    assert caught.value.hint == "Is outage-drill meant?"


def test_an_end_is_an_end() -> None:
    for state in (CommandState.DONE, CommandState.FAILED):
        assert all(after(state, word) is state for word in Word)


def test_only_what_was_not_taken_expires_and_what_a_node_says_afterwards_is_true() -> None:
    assert [state for (state, word) in TABLE if word is Word.TIME_OVER] == [CommandState.REQUESTED]
    assert after(CommandState.EXPIRED, Word.DONE) is CommandState.DONE


def test_a_node_is_asked_nothing_that_has_ended() -> None:
    assert frozenset(CommandState) - {CommandState.DONE, CommandState.FAILED, CommandState.EXPIRED} == OPEN


def test_the_kinds_name_arguments_that_they_need() -> None:
    assert all(kind.needed <= kind.arguments.keys() for kind in KINDS.values())
