"""The policy duties: ask for the site's policy, look when somebody says that there is news, watch one on probation."""

from __future__ import annotations

import threading

from edge.sync.policy_pipeline import PolicyPipeline
from edge.sync.uplink import Uplink
from mesh.v1.common_pb2 import PolicyBundle
from mesh.v1.sync_pb2 import PullPolicyRequest

LONG_POLL_SECONDS = 50
WATCH_SECONDS = 1.0
IDLE_SECONDS = 5.0


class PullPolicy:
    """One duty of the link: asks, and gives what is offered to the pipeline."""

    name = "policy"

    def __init__(self, *, uplink: Uplink, pipeline: PolicyPipeline, long_poll_seconds: int = LONG_POLL_SECONDS) -> None:
        self._uplink, self._pipeline, self._long_poll = uplink, pipeline, long_poll_seconds

    def step(self) -> float:
        """Ask once, and act on the answer; say how long to wait. Raises UplinkError when there was no answer."""
        self._pipeline.take_candidate()
        return self._ask(wait_seconds=self._long_poll)

    def look(self) -> None:
        """Ask without waiting, beside a long poll that may be under way. Raises UplinkError."""
        self._ask(wait_seconds=0)

    def _ask(self, *, wait_seconds: int) -> float:
        asked_with = self._pipeline.running
        offered = self._uplink.pull_policy(_question(asked_with, wait_seconds))
        return 0.0 if offered is None else self._pipeline.consider(offered, asked_with=asked_with)


class LookForPolicy:
    """One duty of the link: a nudge asks at once, also while a long poll waits on another replica."""

    name = "nudge"

    def __init__(self, pull: PullPolicy) -> None:
        self._pull = pull
        self._asked = threading.Event()

    def ask(self) -> None:
        """Somebody says that there is something new."""
        self._asked.set()

    def step(self) -> float:
        """Look when asked; a look that failed is not repeated here, the long poll will find it."""
        if self._asked.is_set():
            self._asked.clear()
            self._pull.look()
        return 3600.0


class WatchPolicy:
    """One duty of the link, which needs no link: a policy on probation is watched, centre or no centre."""

    name = "probation"

    def __init__(self, pipeline: PolicyPipeline) -> None:
        self._pipeline = pipeline

    def step(self) -> float:
        """Look once; say how long to wait."""
        return WATCH_SECONDS if self._pipeline.watch() else IDLE_SECONDS


def _question(running: PolicyBundle | None, wait_seconds: int) -> PullPolicyRequest:
    request = PullPolicyRequest(wait_seconds=wait_seconds)
    if running is not None:
        request.have.CopyFrom(running.version)
        request.have_sha256 = running.sha256
    return request
