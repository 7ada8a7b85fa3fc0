"""The commands duty: do what people at the centre ask of this node, once, and say how it went."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog

from edge.errors import EdgeError, UplinkInvalid, UplinkRefused
from edge.sync.command_journal import CommandJournal, Entry
from edge.sync.uplink import Uplink
from mesh.v1.sync_pb2 import (
    COMMAND_STATE_ACCEPTED,
    COMMAND_STATE_DONE,
    COMMAND_STATE_FAILED,
    Command,
    ReportCommandRequest,
)

log = structlog.get_logger(__name__)

IDLE_SECONDS = 3600.0
RESULT_BYTES = 512 << 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a command went, for people. No patient data."""

    done: bool
    text: str
    result: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A command as its handler sees it."""

    arguments: Mapping[str, str]
    asked_by: str


Handler = Callable[[Asked], Outcome]
"""Does one kind of command. What it raises is a failure, told by the error's own words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of command that this node knows."""

    handle: Handler
    long: bool = False
    """It takes minutes: done beside the others, and never begun anew after a restart."""


class RunCommands:
    """One duty of the link. Asks the centre only when it was told that there is something."""

    name = "commands"

    def __init__(
        self,
        *,
        uplink: Uplink,
        journal: CommandJournal,
        kinds: Mapping[str, Kind],
        wake: Callable[[], None],
    ) -> None:
        """`wake` lets the next step come at once."""
        self._uplink, self._journal, self._kinds, self._wake = uplink, journal, kinds, wake
        self._asked = threading.Event()
        for entry in journal.interrupted():
            journal.finish(entry.command_id, done=False, text="The node was stopped while it did this. Ask again.")

    def ask(self) -> None:
        """There may be commands: look at the next step."""
        self._asked.set()

    def step(self) -> float:
        """Tell what has ended, take what is new. Raises UplinkError."""
        self._tell_all()
        while self._asked.is_set():
            self._asked.clear()
            try:
                for command in self._uplink.pull_commands():
                    self._take(command)
            except BaseException:
                self._asked.set()  # nothing is forgotten because the road was bad
                raise
        self._tell_all()
        return IDLE_SECONDS

    def _take(self, command: Command) -> None:
        if self._journal.known(command.command_id):
            return  # its end is told, or will be
        if not command.seconds_left:
            return
        self._journal.accept(command.command_id, command.kind)
        try:
            self._report(command.command_id, COMMAND_STATE_ACCEPTED)
        except BaseException:
            # Not begun: the centre cannot know, so it must not happen behind its back.
            self._journal.finish(command.command_id, done=False, text="The link broke before it was begun. Ask again.")
            raise
        kind = self._kinds.get(command.kind)
        if kind is None:
            known = ", ".join(sorted(self._kinds))
            self._journal.finish(
                command.command_id, done=False, text=f"This node's version does not know it. It knows: {known}."
            )
        elif kind.long:
            threading.Thread(
                target=self._do, args=(command, kind.handle), name=f"command-{command.kind}", daemon=True
            ).start()
        else:
            self._do(command, kind.handle)

    def _do(self, command: Command, handle: Handler) -> None:
        log.info("command.begun", kind=command.kind, command=command.command_id)
        try:
            outcome = handle(Asked(arguments=dict(command.arguments), asked_by=command.asked_by))
        except EdgeError as error:
            outcome = Outcome(done=False, text=f"{error}. {error.hint}".strip())
        except Exception as error:
            log.exception("command.fault", kind=command.kind)
            outcome = Outcome(done=False, text=f"It failed in a way that was not foreseen ({type(error).__name__}).")
        result = json.dumps(outcome.result) if outcome.result else ""
        if len(result) > RESULT_BYTES:
            result = json.dumps({"left_out": f"the result has {len(result)} bytes; at most {RESULT_BYTES} travel"})
        self._journal.finish(command.command_id, done=outcome.done, text=outcome.text, result=result)
        log.info("command.ended", kind=command.kind, command=command.command_id, done=outcome.done)
        self._wake()

    def _tell_all(self) -> None:
        for entry in self._journal.untold():
            self._tell(entry)

    def _tell(self, entry: Entry) -> None:
        state = COMMAND_STATE_DONE if entry.state == "done" else COMMAND_STATE_FAILED
        try:
            self._report(entry.command_id, state, entry.text, entry.result)
        except (UplinkInvalid, UplinkRefused) as error:
            log.warning("command.untellable", command=entry.command_id, error=str(error))
        self._journal.tell(entry.command_id)

    def _report(self, command_id: str, state: Any, text: str = "", result: str = "") -> None:
        self._uplink.report_command(
            ReportCommandRequest(command_id=command_id, state=state, text=text, result=result.encode())
        )
