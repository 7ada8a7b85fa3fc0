"""The compose file keeps its own rules; no container engine is needed to check them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
ONE_SHOTS = {name for name, service in SERVICES.items() if service.get("restart") == "no"}


@pytest.mark.parametrize("name", SERVICES)
def test_every_container_has_a_read_only_root_and_no_capabilities(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]


@pytest.mark.parametrize("name", SERVICES)
def test_no_container_runs_as_root(name: str) -> None:
    service = SERVICES[name]
    if "build" in service:
        recipe = (ROOT / service["build"]["dockerfile"]).read_text()
        assert recipe.rindex("\nUSER 10001:10001") > recipe.rindex("FROM ")
    else:
        assert not service["user"].startswith("0")


@pytest.mark.parametrize("name", sorted(set(SERVICES) - ONE_SHOTS))
def test_everything_that_stays_has_a_health_check(name: str) -> None:
    assert SERVICES[name]["healthcheck"]["test"]


@pytest.mark.parametrize("name", SERVICES)
def test_no_secret_stands_in_the_file(name: str) -> None:
    for key, value in SERVICES[name].get("environment", {}).items():
        assert "PASSWORD" not in key or key.endswith("_FILE"), key
        assert "://" not in str(value)


def test_the_sites_do_not_see_each_other_and_no_pacs_sees_the_centre() -> None:
    networks = {name: set(service.get("networks", [])) for name, service in SERVICES.items()}
    assert networks["north-pacs"] == {"north"}
    assert networks["south-pacs"] == {"south"}
    assert networks["north-1"] == networks["north-2"] == {"wan", "north"}
    assert networks["south-1"] == {"wan", "south"}
    assert networks["postgres"] == {"database"}


def test_no_node_waits_for_the_centre_to_start() -> None:
    assert all("depends_on" not in SERVICES[node] for node in ("north-1", "north-2", "south-1"))


def test_what_the_file_names_is_there() -> None:
    for service in SERVICES.values():
        if "build" in service:
            assert (ROOT / service["build"]["dockerfile"]).is_file()
    assert set(COMPOSE["secrets"]) == {"postgres-password", "database-url"}
    used = {volume.split(":")[0] for service in SERVICES.values() for volume in service.get("volumes", [])}
    assert {name for name in used if not name.startswith(".")} == set(COMPOSE["volumes"])


def test_only_this_machine_can_reach_the_published_ports() -> None:
    for service in SERVICES.values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
