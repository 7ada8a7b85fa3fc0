"""Keeps the control plane told and the policy current, whenever it can be reached. The site never waits for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from edge.sync.conditions import LinkCondition
from edge.sync.identity import NodeIdentity
from edge.sync.outbox import Outbox
from edge.sync.policy_store import PolicyStore
from mesh.v1.common_pb2 import PolicyBundle


class Link:
    """A node's link to its control plane: threads of its own, nothing on the data path."""

    def __init__(
        self,
        *,
        data_dir: Path,
        identity: NodeIdentity,
        outbox: Outbox,
        policies: PolicyStore,
        running: PolicyBundle | None,
        apply_policy: Callable[[PolicyBundle], None],
        status: Callable[[], Mapping[str, object]],
        software_version: str,
        follow_policy: bool = True,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None: ...

    def start(self) -> None:
        """Return at once; whatever the network does, it happens in the link's own threads."""

    def stop(self) -> None:
        """End within five seconds, also in the middle of a long poll."""

    def conditions(self) -> tuple[LinkCondition, ...]:
        """What is wrong with the link now, for the node's health page and status."""
        return ()
