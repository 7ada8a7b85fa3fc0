"""A process that delivers: a lane for each destination that is its own, as the policy in force names them."""

from __future__ import annotations

import threading

import structlog

from edge.buffer.deliveries import Deliveries
from edge.forward.lanes import Lanes
from edge.forward.ourselves import this_node_listens_at
from edge.orders import LOOK_SECONDS, Orders, OrdersWatch
from edge.processes.child import Child, serve
from edge.run_dir import RunDir
from edge.siblings import SharedHealth

log = structlog.get_logger(__name__)
GRACE_SECONDS = 2.4
"""How long a lane may finish the instance in flight when the node stops."""


def main() -> None:
    """Be one that delivers."""
    serve(_work)


def _work(child: Child) -> None:
    settings, run_dir = child.settings, RunDir(child.settings.data_dir)
    outbox, work = child.bell("outbox"), child.bell(child.launch.name)
    deliveries = Deliveries(settings.data_dir, settled=outbox.ring)
    deliveries.sends()
    this_node_listens_at(child.launch.dicom)
    this_node_listens_at(settings.http)
    lanes = Lanes(settings, deliveries, SharedHealth(run_dir, child.launch.name), grace_seconds=GRACE_SECONDS)
    work.listen(deliveries.work_came)
    follower = _Follower(child, deliveries, lanes, OrdersWatch(run_dir))
    follower.start()
    child.serves(lambda: deliveries.alive() and lanes.alive() and follower.alive())
    child.stopping.wait()
    lanes.stop()
    deliveries.close()


class _Follower:
    """Runs the lanes that the orders ask for, in a thread of its own: a lane that ends slowly delays no stop."""

    def __init__(self, child: Child, deliveries: Deliveries, lanes: Lanes, watch: OrdersWatch) -> None:
        self._child, self._deliveries, self._lanes, self._watch = child, deliveries, lanes, watch
        self._known: set[str] = set()
        self._thread = threading.Thread(target=self._run, name="orders", daemon=True)

    def start(self) -> None:
        """Begin to follow."""
        self._thread.start()

    def alive(self) -> bool:
        """Whether the thread still works."""
        return self._thread.is_alive()

    def _run(self) -> None:
        while not self._child.stopping.is_set():
            try:
                orders = self._watch.news()
                if orders is not None:
                    self._follow(orders)
            except Exception:
                log.exception("orders.cannot_follow")
            self._child.stopping.wait(LOOK_SECONDS)

    def _follow(self, orders: Orders) -> None:
        mine = orders.share(self._child.launch.number, self._child.launch.of)
        for name in {one.name for one in mine} - self._known:
            # Nobody else sends there: what is held under a lease was held by a process that is dead.
            resumed = self._deliveries.take_over(name)
            self._known.add(name)
            if resumed:
                log.info("lane.resumed", destination=name, deliveries=resumed)
        self._lanes.match(mine)
        log.info("orders.followed", policy=orders.policy, destinations=[one.name for one in mine])
