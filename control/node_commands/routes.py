"""REST of commands."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Query

from control.auth import Operator, Viewer
from control.db.base import EPOCH
from control.errors import InvalidCursor, UnknownCommand, UnknownNode
from control.injection import provided
from control.node_commands.kinds import KINDS
from control.node_commands.schemas import CommandItem, KindItem, NewCommand
from control.node_commands.service import CommandService
from control.node_commands.states import CommandState
from control.nodes.service import NodeService
from control.paging import DEFAULT_LIMIT, Cursor, Limit, Page, read_cursor, write_cursor
from control.principals import Role

router = APIRouter(tags=["commands"])
Commands = Annotated[CommandService, Depends(provided(CommandService))]
Nodes = Annotated[NodeService, Depends(provided(NodeService))]


@router.get("/commands/kinds", operation_id="list_command_kinds")
async def list_command_kinds(_caller: Viewer) -> list[KindItem]:
    """What can be asked of a node."""
    return [
        KindItem(kind=name, meaning=one.meaning, arguments=list(one.arguments), needed=sorted(one.needed))
        for name, one in KINDS.items()
    ]


@router.post("/nodes/{node_id}/commands", status_code=201, operation_id="ask_node")
async def ask_node(caller: Operator, commands: Commands, nodes: Nodes, node_id: str, body: NewCommand) -> CommandItem:
    """Ask something of a node. It takes it at once over the broker, within a minute without, or when it is back."""
    site = (await nodes.get(node_id)).site
    if not caller.may(Role.VIEWER, site):
        raise UnknownNode
    caller.require(Role.OPERATOR, site)
    asked = await commands.ask(node_id, body.kind, body.arguments, seconds=body.expires_in_seconds, actor=caller.actor)
    return CommandItem.model_validate(asked)


@router.get("/commands", operation_id="list_commands")
async def list_commands(
    caller: Viewer,
    commands: Commands,
    site: Annotated[str | None, Query(max_length=63, pattern=r"^[a-z0-9-]*$")] = None,
    node_id: Annotated[str | None, Query(max_length=32, pattern=r"^[0-9a-f]*$")] = None,
    state: CommandState | None = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[CommandItem]:
    """Commands of the sites that the caller may see, from the newest back."""
    found = await commands.page(
        scope=caller.sites(), site=site, node_id=node_id, state=state, before=_place(cursor), limit=limit
    )
    more = None
    if len(found) == limit:
        more = write_cursor((found[-1].asked_at - EPOCH) // timedelta(microseconds=1), found[-1].id)
    return Page(items=[CommandItem.model_validate(one) for one in found], next_cursor=more)


@router.get("/commands/{command_id}", operation_id="get_command")
async def get_command(caller: Viewer, commands: Commands, command_id: str) -> CommandItem:
    """One command."""
    found = await commands.get(command_id)
    if not caller.may(Role.VIEWER, found.site):
        raise UnknownCommand
    return CommandItem.model_validate(found)


def _place(cursor: str | None) -> tuple[datetime, str] | None:
    if cursor is None:
        return None
    at, command_id = read_cursor(cursor, int, str)
    try:
        return EPOCH + timedelta(microseconds=int(at)), str(command_id)
    except OverflowError:
        raise InvalidCursor from None
