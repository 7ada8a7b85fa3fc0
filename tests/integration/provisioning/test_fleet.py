"""A simulated fleet against a real control plane: it applies what is published, and its faults harm nobody."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator

import grpc
import pytest

from provisioning.errors import ProvisioningError
from provisioning.fleet.box import Box
from provisioning.fleet.faults import Fault, Plan, read_faults
from provisioning.fleet.identities import Identity
from provisioning.fleet.ledger import Ledger
from provisioning.local.command import own_script
from provisioning.local.control import Control
from provisioning.local.control_api import ControlApi
from tests.conftest import Figures

BOXES = 24
IDENTITY = Identity(
    node_id="n",
    site="s",
    node_name="box",
    grpc_endpoint="",
    mqtt_endpoint="",
    certificate_pem="",
    ca_pem="",
    key_pem="",
)
FAULTS = "cut=0.5,slow=0.2,skew=0.2,clone=0.2,crash=0.5,old=0.2"


@pytest.fixture(scope="module")
def control(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Control]:
    with Control(tmp_path_factory.mktemp("fleet") / "control") as started:
        _fleet(started, "join", "--boxes", str(BOXES), "--sites", "2", "--url", started.url, *_password(started))
        yield started


def _fleet(control: Control, *words: str) -> str:
    argv = [own_script("skerry-fleet"), words[0], "--folder", str(control.data_dir.parent / "fleet"), *words[1:]]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _password(control: Control) -> tuple[str, str]:
    return "--password-file", str(control.password_file)


def test_what_is_published_runs_in_every_box(control: Control, figures: Figures) -> None:
    asked = ("publish", "--url", control.url, *_password(control), "--no-broker", "--rounds", "2", "--json")
    found = json.loads(_fleet(control, *asked))
    took = [one["p99"] for one in found["rounds"]]
    figures(f"fleet of {BOXES}: a policy runs in 99 % after {', '.join(f'{one:.2f}' for one in took)} s")
    assert len(took) == 2
    assert found["errors"] == {}
    assert max(took) < 10


def test_all_boxes_come_back_at_once_and_none_sees_an_error(control: Control, figures: Figures) -> None:
    found = json.loads(_fleet(control, "reconnect", "--url", control.url, *_password(control), "--no-broker", "--json"))
    figures(f"fleet of {BOXES}: all seen again {found['present_seconds']:.1f} s after every line was cut")
    assert found["spoke"] == BOXES
    assert found["errors"] == {}
    assert found["present_seconds"] < 20


async def test_a_box_that_is_told_to_come_again_does_so_and_notes_no_error() -> None:
    ledger = Ledger()
    box = Box(0, IDENTITY, ledger, Plan(shares={}), events_per_second=0, batch=1)
    asked: list[object] = []

    async def full_at_first(request: object, **_: object) -> str:
        asked.append(request)
        if len(asked) == 1:
            trailers = grpc.aio.Metadata(("retry-after-ms", "20"))
            raise grpc.aio.AioRpcError(grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.aio.Metadata(), trailers)
        return "answer"

    assert await box.call("ReportStatus", full_at_first, "report", 0) == "answer"
    assert (len(asked), ledger.told_to_wait, ledger.errors) == (2, 1, {})


def test_every_event_is_kept_once_whatever_happens_to_the_boxes(control: Control) -> None:
    asked = ("run", "--no-broker", "--seconds", "8", "--events", "400", "--faults", FAULTS, "--json")
    seen = json.loads(_fleet(control, *asked))
    assert seen["events_acknowledged"] > 0
    assert all(seen["faults"].values())
    api = ControlApi(control.url, control.password_file)
    kept = list(api.every("/instances"))
    identities = {one["instance_id"] for one in kept}
    assert len(kept) == len(identities), "an instance is kept twice"
    assert len(kept) >= seen["events_acknowledged"] / 2, "an acknowledged event is missing"


def test_the_same_seed_gives_the_same_faults() -> None:
    plan = Plan(shares=read_faults("cut=0.3,slow=1"), seed=7)
    again = Plan(shares=read_faults("slow=1, cut=0.3"), seed=7)
    assert [plan.of(number) for number in range(50)] == [again.of(number) for number in range(50)]
    assert all(Fault.SLOW in plan.of(number) for number in range(50))
    assert 0 < sum(Fault.CUT in plan.of(number) for number in range(50)) < 50


@pytest.mark.parametrize("text", ["flood=0.1", "cut", "cut=2", "cut=x"])
def test_a_fault_that_does_not_exist_is_named(text: str) -> None:
    with pytest.raises(ProvisioningError, match=text.partition("=")[0]):
        read_faults(text)
