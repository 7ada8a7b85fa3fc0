"""A simulated fleet against a real control plane: it applies what is published, and its faults harm nobody."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator

import pytest

from provisioning.errors import ProvisioningError
from provisioning.fleet.faults import Fault, Plan, read_faults
from provisioning.local.command import own_script
from provisioning.local.control import Control
from provisioning.local.control_api import ControlApi
from tests.conftest import Figures

BOXES = 24
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
