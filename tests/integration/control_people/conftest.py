"""Both databases for the tests of people and promises."""

from __future__ import annotations

from tests.control_fixtures import (
    clock,
    control,
    core,
    database,
    database_url,
    keys,
    postgres_server,
)

__all__ = ["clock", "control", "core", "database", "database_url", "keys", "postgres_server"]
