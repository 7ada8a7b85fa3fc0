"""Who was recognised a moment ago, and when each node spoke: so that a call costs no query and no write of its own.

A thousand nodes that come back at once make some thousand calls in a second. Who is not known is looked up together
with all others that ask meanwhile, and who spoke is written once a second for all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from control.nodes.reports import NodeCaller

RECOGNISED_SECONDS = 2.0
"""How long a node is known without another look. A node revoked by another replica is refused at most so much later."""
CONTACT_STEP_SECONDS = 10.0
"""`last_contact_at` is written at most this often for each node: a row written on every call would cost more."""
MOST_KNOWN = 20_000


class Contacts:
    """In memory, of one process; nothing is lost with it but a few seconds of `last_contact_at`."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._known: dict[str, tuple[NodeCaller, float]] = {}
        self._spoke: dict[str, datetime] = {}
        self._written: dict[str, float] = {}
        self.revocations = 0
        """Counts up; what was looked up before the last one must not be remembered after it."""

    def known(self, node_id: str) -> NodeCaller | None:
        """Who this is, when that was looked up a moment ago."""
        caller, until = self._known.get(node_id, (None, 0.0))
        return caller if self._monotonic() < until else None

    def recognised(self, caller: NodeCaller, *, revocations: int) -> None:
        """It was looked up now; `revocations` as they were before."""
        if revocations != self.revocations:
            return
        if len(self._known) >= MOST_KNOWN:
            self._known.clear()
        self._known[caller.node_id] = (caller, self._monotonic() + RECOGNISED_SECONDS)

    def forget(self, node_id: str) -> None:
        """Look again at its next call: it was revoked."""
        self.revocations += 1
        self._known.pop(node_id, None)

    def spoke(self, node_id: str, at: datetime) -> None:
        """A node made a call."""
        now = self._monotonic()
        if now - self._written.get(node_id, float("-inf")) >= CONTACT_STEP_SECONDS:
            self._written[node_id] = now
            self._spoke[node_id] = at

    def take(self) -> dict[str, datetime]:
        """The contacts that are to be written now; they are the caller's."""
        taken, self._spoke = self._spoke, {}
        return taken

    def put_back(self, contacts: dict[str, datetime]) -> None:
        """They could not be written; newer ones count."""
        self._spoke = contacts | self._spoke
