"""Two destinations behind one slow line: together they get what the policy gives it, and the urgent goes at once."""

from __future__ import annotations

import time
from pathlib import Path

from edge.policy.document import check_policy
from provisioning.local.storescp import StoreScp
from tests.conftest import Figures
from tests.edge_door import TunedEdge
from tests.edge_samples import data_set
from tests.real_programs import require
from tests.scu import association, store

RATE = 400_000
EACH = 100_000
POLICY = """skerry: 1
budgets:
  - {{name: wan, per_second: 400KB}}
destinations:
  - {{name: one, kind: dicom, ae_title: ONE, host: 127.0.0.1, port: {one}, budget: wan}}
  - {{name: other, kind: dicom, ae_title: OTHER, host: 127.0.0.1, port: {other}, budget: wan}}
routes:
  - {{name: everything, to: [one, other]}}
  - {{name: stroke, when: 'calling_ae_title == "CT-ER"', to: [one], priority: stat}}
"""


def test_a_line_gets_no_more_than_its_budget_and_the_urgent_does_not_wait_for_it(
    tmp_path: Path, figures: Figures
) -> None:
    require("storescp")
    policy = tmp_path / "policy.yaml"
    with StoreScp(tmp_path / "one", ae_title="ONE") as one, StoreScp(tmp_path / "other", ae_title="OTHER") as other:
        policy.write_text(POLICY.format(one=one.port, other=other.port), encoding="utf-8")
        with TunedEdge(tmp_path, policy=policy) as edge:
            began = time.monotonic()
            with association(edge.dicom_port) as peer:
                for number in range(10):
                    assert store(peer, f"1.2.{number}", data_set(f"1.2.{number}", body=bytes(EACH))) == 0x0000
            with association(edge.dicom_port, calling="CT-ER") as peer:
                assert store(peer, "1.2.99", data_set("1.2.99", body=bytes(EACH))) == 0x0000
            edge.wait(lambda: "1.2.99" in one.received(), "the urgent one did not arrive")
            urgent, behind = time.monotonic() - began, 20 - len(one.received()) - len(other.received())
            edge.wait(lambda: edge.facts()["deliveries_waiting"] == 0, "not all arrived", seconds=60)
            seconds = time.monotonic() - began
    total = 22 * EACH
    figures(
        f"budget: {total} bytes to two in {seconds:.2f} s where {total / RATE:.2f} s are given; stat in {urgent:.2f} s"
    )
    assert 0.9 * total / RATE - 0.25 < seconds < 1.6 * total / RATE
    assert behind > 5


def test_a_budget_that_is_not_there_or_too_small_is_named_with_its_place() -> None:
    document = (
        POLICY.format(one=1, other=2).replace("400KB", "4KB").replace("port: 2, budget: wan", "port: 2, budget: lan")
    )
    found = {(one.line, one.message) for one in check_policy(document)}
    assert (3, "a budget is at least 50KB in a second") in found
    assert (6, "there is no budget `lan`") in found
