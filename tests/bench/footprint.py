"""What the processes of a node take from the machine, over the whole tree below its supervisor."""

from __future__ import annotations

from dataclasses import dataclass

import psutil


@dataclass(frozen=True, slots=True, kw_only=True)
class Footprint:
    """The sums over all processes of one node."""

    processes: int
    threads: int
    resident: int
    """Bytes of proportional set size: pages that processes share count once in all."""
    cpu_seconds: float


def footprint(pid: int) -> Footprint:
    """As it is now."""
    root = psutil.Process(pid)
    tree = [root, *root.children(recursive=True)]
    processes = threads = resident = 0
    cpu = 0.0
    for process in tree:
        try:
            with process.oneshot():
                resident += process.memory_full_info().pss
                threads += process.num_threads()
                times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue  # it ended in this moment
        processes += 1
        cpu += times.user + times.system
    return Footprint(processes=processes, threads=threads, resident=resident, cpu_seconds=cpu)
