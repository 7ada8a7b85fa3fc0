"""What people at the centre may ask of this node: by hand on its queue, by looking at it, and to stand aside."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from edge.buffer.hand import Choice, Hand
from edge.buffer.states import DeliveryState
from edge.draining import Draining
from edge.errors import SettingsError
from edge.model import Destination
from edge.recent_lines import LEVELS, tail
from edge.run_dir import RunDir
from edge.sync.commands import Asked, Kind, Outcome

CHOICES = ("uid", "destination", "state", "calling_ae_title", "route", "older_seconds", "reason_has")
MOST_LINES, DEFAULT_LINES, TAIL_BYTES = 1000, 100, 256 << 10
Facts = Callable[[], Mapping[str, Any]]


class CentreCommands:
    """Each kind of command, with the audit of this node saying who asked at the centre."""

    def __init__(self, data_dir: Path, *, facts: Facts, destinations: Callable[[], Sequence[Destination]]) -> None:
        self._data_dir, self._facts, self._destinations = data_dir, facts, destinations

    def kinds(self) -> Mapping[str, Kind]:
        """By the word that the centre uses."""
        return {
            "release": Kind(handle=self._release),
            "hold": Kind(handle=self._hold),
            "reroute": Kind(handle=self._reroute),
            "echo": Kind(handle=self._echo),
            "support-bundle": Kind(handle=self._bundle),
            "drain": Kind(handle=self._drain),
            "log-tail": Kind(handle=self._log_tail),
        }

    def _release(self, asked: Asked) -> Outcome:
        dry = _dry(asked)
        count = self._hand(asked).release(self._choice(asked), dry_run=dry)
        return _counted(count, "due again", dry=dry)

    def _hold(self, asked: Asked) -> Outcome:
        dry, reason = _dry(asked), asked.arguments.get("reason", "")
        count = self._hand(asked).hold(self._choice(asked), reason=reason, dry_run=dry)
        return _counted(count, "held back", dry=dry)

    def _reroute(self, asked: Asked) -> Outcome:
        dry, to = _dry(asked), asked.arguments.get("to", "")
        self._check_destination(to)
        count = self._hand(asked).reroute(self._choice(asked), to=to, dry_run=dry)
        return _counted(count, f"sent to {to} instead", dry=dry)

    def _echo(self, asked: Asked) -> Outcome:
        # Loaded when somebody asks: core has no other use for it.
        from edge.forward.asked_peers import called_as, peers_of
        from edge.forward.echo import ask

        peers = peers_of(asked.arguments.get("destination", ""), self._destinations())
        answers = [ask(called_as(peer, ""), self._data_dir) for peer in peers]
        text = " ".join(f"{one.destination}: {one.text}. {one.hint}".strip() for one in answers)
        return Outcome(
            done=all(one.well for one in answers), text=text, result={"answers": [asdict(one) for one in answers]}
        )

    def _bundle(self, _asked: Asked) -> Outcome:
        audit = [
            {key: one[key] for key in ("done_at", "who", "action", "deliveries")}
            for one in Hand(self._data_dir).deeds(20)
        ]
        return Outcome(done=True, text="What this node says of itself.", result={**self._facts(), "audit": audit})

    def _drain(self, asked: Asked) -> Outcome:
        dry, ends = _dry(asked), asked.arguments.get("end") == "true"
        draining, reason = Draining(self._data_dir), asked.arguments.get("reason", "")
        changes = draining.is_on() is ends
        if changes and not dry:
            if ends:
                draining.end()
            else:
                draining.begin(by=asked.asked_by, reason=reason, now=datetime.now(UTC))
            self._hand(asked).note("drain ended" if ends else "drain", reason)
        counts = {name: self._facts()[name] for name in ("instances_held", "deliveries_waiting")}
        text = _drained(changes, ends=ends, dry=dry, waiting=counts["deliveries_waiting"])
        return Outcome(done=True, text=text, result={"changed": changes and not dry, **counts})

    def _log_tail(self, asked: Asked) -> Outcome:
        level = asked.arguments.get("level", "debug")
        if level not in LEVELS:
            raise SettingsError("that is no level of a log line", hint=f"Levels are: {', '.join(LEVELS)}.")
        lines = min(_whole(asked.arguments.get("lines", str(DEFAULT_LINES))), MOST_LINES)
        found = tail(RunDir(self._data_dir).path, lines=lines, least=level, most_bytes=TAIL_BYTES) if lines else ()
        noun = "1 line" if len(found) == 1 else f"{len(found)} lines"
        return Outcome(done=True, text=f"The last {noun} of this node's processes.", result={"lines": list(found)})

    def _hand(self, asked: Asked) -> Hand:
        return Hand(self._data_dir, who=f"centre: {asked.asked_by}")

    def _choice(self, asked: Asked) -> Choice:
        words = {key: value for key, value in asked.arguments.items() if key in CHOICES}
        if not words and asked.arguments.get("all") != "true":
            raise SettingsError("it is not said which deliveries", hint="Name some, or say all=true.")
        if "destination" in words:
            self._check_destination(words["destination"])
        older = words.get("older_seconds")
        return Choice(
            uid=words.get("uid"),
            destination=words.get("destination"),
            states=(_state(words["state"]),) if "state" in words else (),
            calling_ae_title=words.get("calling_ae_title"),
            route=words.get("route"),
            before=datetime.now(UTC) - timedelta(seconds=_whole(older)) if older is not None else None,
            reason=words.get("reason_has"),
        )

    def _check_destination(self, name: str) -> None:
        known = {one.name for one in self._destinations()}
        if name not in known:
            names = ", ".join(sorted(known)) or "none"
            raise SettingsError("the policy in force has no such destination", hint=f"It has: {names}.")


def _state(word: str) -> DeliveryState:
    try:
        return DeliveryState(word)
    except ValueError:
        raise SettingsError("that is no state of a delivery", hint=f"States are: {', '.join(DeliveryState)}.") from None


def _whole(word: str) -> int:
    if not word.isdecimal() or len(word) > 9:
        raise SettingsError(f"{word[:20]!r} is no whole number", hint="Such as 3600.")
    return int(word)


def _dry(asked: Asked) -> bool:
    return asked.arguments.get("dry_run") == "true"


def _drained(changes: bool, *, ends: bool, dry: bool, waiting: int) -> str:
    if not changes:
        return "It takes associations already." if ends else "It drains already."
    verb = "would take" if dry else "takes"
    if ends:
        return f"It {verb} associations again."
    noun = "1 delivery is" if waiting == 1 else f"{waiting} deliveries are"
    return f"It {verb} no new associations. {noun} not done yet."


def _counted(count: int, what: str, *, dry: bool) -> Outcome:
    noun = "1 delivery" if count == 1 else f"{count} deliveries"
    text = f"{noun} would be {what}." if dry else f"{noun} {what}."
    return Outcome(done=True, text=text, result={"matching": count, "done": 0 if dry else count})
