"""The rules of commands: ask, hand out, hear how they went."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from control.attempt import is_trial
from control.audit.service import AuditService
from control.clock import Clock
from control.db.session import Database
from control.errors import InvalidCommand, NodeRevoked, OnlyNode, UnknownCommand
from control.live.news import News
from control.live.service import record
from control.node_commands import repository, standing_aside
from control.node_commands.board import CommandBoard, Place
from control.node_commands.kinds import checked
from control.node_commands.models import NodeCommand
from control.node_commands.standing_aside import DRAIN, AskedToDrain
from control.node_commands.states import CommandState, Word, after
from control.nodes.reports import NodeCaller, NodeFacts
from control.nodes.service import NodeService
from control.principals import Scope

HANDED_OUT = 20
"""At one time; the node comes again for the rest."""
RESULT_BYTES = 512 << 10
MOST_NODES = 1000
"""Of a site, that are looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandFacts:
    """A command, as people see it."""

    id: str
    node_id: str
    site: str
    kind: str
    arguments: Mapping[str, str]
    state: CommandState
    text: str
    result: Mapping[str, Any] | None
    asked_by: str
    asked_at: datetime
    expires_at: datetime
    accepted_at: datetime | None
    ended_at: datetime | None


class CommandService:
    """Commands of all nodes."""

    def __init__(
        self, database: Database, nodes: NodeService, audit: AuditService, board: CommandBoard, clock: Clock
    ) -> None:
        self._database, self._nodes, self._audit, self._board, self._clock = database, nodes, audit, board, clock

    async def ask(
        self, node_id: str, kind: str, arguments: Mapping[str, str], *, seconds: int, actor: str
    ) -> CommandFacts:
        """Ask something of a node; it takes it when it hears of it, within `seconds` or not at all.

        Raises:
            UnknownNode, NodeRevoked, InvalidCommand, OnlyNode
        """
        given = checked(kind, arguments)
        node = await self._nodes.get(node_id)
        if node.revoked_at is not None:
            raise NodeRevoked
        now = self._clock()
        aside = standing_aside.is_asked(kind, given)
        site = await self._nodes.page(site=node.site, after="", limit=MOST_NODES) if aside else ()
        async with self._database.transaction() as tx:
            if aside:
                await self._nodes.hold_site(tx, node)
                await self._check_not_alone(tx, node, site, now)
            row = NodeCommand(
                id=secrets.token_hex(16),
                node_id=node.id,
                site=node.site,
                kind=kind,
                arguments=dict(given),
                state=CommandState.REQUESTED,
                text="",
                result=None,
                asked_by=actor,
                asked_at=now,
                expires_at=now + timedelta(seconds=seconds),
            )
            repository.add(tx, row)
            await record(tx, [_news(row)], now)
            # What a person wrote, and what names images, stands in the row of the command only.
            told = {"site": node.site, "command": row.id, "kind": kind, "arguments": ", ".join(sorted(given))}
            await self._audit.record(tx, actor=actor, action="command.ask", object=f"node:{node.id}", after=told)
        if not is_trial():
            self._board.post({**self._board.newest(), (node.site, node.id): now})
        return _facts(row)

    async def _check_not_alone(
        self, tx: AsyncSession, node: NodeFacts, site: Sequence[NodeFacts], now: datetime
    ) -> None:
        rows = await repository.newest_of_kind(tx, site=node.site, kind=DRAIN, limit=MOST_NODES)
        asked = [
            AskedToDrain(
                node_id=row.node_id, state=CommandState(row.state), arguments=row.arguments, asked_at=row.asked_at
            )
            for row in rows
        ]
        if not standing_aside.who_stays(node, site, asked, now):
            raise OnlyNode(f"No other node of site {node.site} is up and takes images.")

    def waits_for(self, caller: NodeCaller) -> bool:
        """Whether something is asked of this node, as far as this process knows."""
        return self._board.waits(caller.node_id)

    async def hand_out(self, caller: NodeCaller) -> Sequence[CommandFacts]:
        """What this node has to do, the oldest first; the same again until it told the end."""
        async with self._database.snapshot() as session:
            rows = await repository.open_of(session, caller.node_id, now=self._clock(), limit=HANDED_OUT)
        return [_facts(row) for row in rows]

    async def hear(self, caller: NodeCaller, command_id: str, word: Word, *, text: str, result: bytes) -> None:
        """Keep what a node says of a command. What it said before changes nothing.

        Raises:
            UnknownCommand: none of this node's.
            InvalidCommand: the result is no JSON object, or too large.
        """
        value = _result(result)
        now = self._clock()
        async with self._database.transaction() as tx:
            row = await repository.by_id(tx, command_id, lock=True)
            if row is None or row.node_id != caller.node_id:
                raise UnknownCommand
            state = after(CommandState(row.state), word)
            if state == row.state:
                return
            row.state = state
            if state is CommandState.ACCEPTED:
                row.accepted_at, row.ended_at = now, None
            else:
                row.text, row.result, row.ended_at = text.replace("\0", "")[:1000], value, now
            await tx.flush()
            await record(tx, [_news(row)], now)

    async def get(self, command_id: str) -> CommandFacts:
        """One command.

        Raises:
            UnknownCommand
        """
        async with self._database.snapshot() as session:
            row = await repository.by_id(session, command_id)
        if row is None:
            raise UnknownCommand
        return _facts(row)

    async def page(
        self,
        *,
        scope: Scope,
        site: str | None,
        node_id: str | None,
        state: CommandState | None,
        before: tuple[datetime, str] | None,
        limit: int,
    ) -> Sequence[CommandFacts]:
        """Commands that fit, from the newest back."""
        async with self._database.snapshot() as session:
            rows = await repository.newest(
                session, sites=scope, site=site, node_id=node_id, state=state, before=before, limit=limit
            )
        return [_facts(row) for row in rows]

    async def waiting(self) -> Mapping[Place, datetime]:
        """Who has something to take. What nobody took in its time ends here."""
        now = self._clock()
        async with self._database.snapshot() as session:
            found = await repository.waiting(session, now=now)
            late = await repository.overdue(session, now=now)
        if late:
            async with self._database.transaction() as tx:
                await repository.expire(tx, now=now)
        return found


def _facts(row: NodeCommand) -> CommandFacts:
    return CommandFacts(
        id=row.id,
        node_id=row.node_id,
        site=row.site,
        kind=row.kind,
        arguments=row.arguments,
        state=CommandState(row.state),
        text=row.text,
        result=row.result,
        asked_by=row.asked_by,
        asked_at=row.asked_at,
        expires_at=row.expires_at,
        accepted_at=row.accepted_at,
        ended_at=row.ended_at,
    )


def _news(row: NodeCommand) -> News:
    body = {"site": row.site, "node_id": row.node_id, "command_id": row.id, "kind": row.kind, "state": str(row.state)}
    return News(kind="command_changed", body=body)


def _result(content: bytes) -> dict[str, Any] | None:
    if not content:
        return None
    if len(content) > RESULT_BYTES:
        raise InvalidCommand(f"A result has at most {RESULT_BYTES} bytes.")
    try:
        value = json.loads(content.decode("utf-8").replace("\\u0000", ""))
    except (ValueError, RecursionError):
        raise InvalidCommand("A result is a JSON object.") from None
    if not isinstance(value, dict):
        raise InvalidCommand("A result is a JSON object.")
    return value
