"""What runs beside the requests goes on after trouble, and is missed when it ends."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import REGISTRY

from control import server
from control.clock import utcnow


async def test_a_full_disk_does_not_end_the_renewal_of_certificates(monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[int] = []

    def full(*_: object) -> None:
        tries.append(1)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(server, "CERTIFICATE_CHECK_SECONDS", 0.01)
    monkeypatch.setattr(server, "issue_own", full)
    own: Any = SimpleNamespace(server=SimpleNamespace(is_due=lambda _now: True))
    settings: Any = SimpleNamespace(data_dir=Path("unused"), advertised_host="h")
    nothing: Any = None
    keeping = asyncio.create_task(server._keep_certificates(settings, nothing, own, nothing, utcnow))
    async with asyncio.timeout(5):
        while len(tries) < 3:  # noqa: ASYNC110 - another task counts
            await asyncio.sleep(0.01)
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)


async def test_a_task_that_dies_is_counted() -> None:
    async def dying() -> None:
        raise ValueError

    task = dying()
    labels = {"task": dying.__qualname__}
    await server._watched(task)
    assert REGISTRY.get_sample_value("skerry_control_dead_tasks_total", labels) == 1
