"""PostgreSQL goes away under a running control plane: callers are told, nothing falls over, and it comes back alone."""

from __future__ import annotations

import uuid
from pathlib import Path

import grpc
import psycopg
import pytest

from mesh.v1 import sync_pb2
from tests.control_fixtures import running_control
from tests.node_box import enrol_box
from tests.postgres_server import drop_database, make_database


def shut(server: str, name: str, *, to: bool) -> None:
    """Let nobody into a database, and throw out who is in; or let them in again."""
    with psycopg.connect(f"{server}/postgres", autocommit=True) as admin:
        admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS {not to}'.encode())
        if to:
            admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])


def test_an_outage_of_the_database_is_said_and_ends_by_itself(postgres_server: str, tmp_path: Path) -> None:
    name = f"outage_{uuid.uuid4().hex}"
    url_file = tmp_path / "url"
    url_file.write_text(make_database(postgres_server, name))
    with running_control(tmp_path / "data", "--database-url-file", str(url_file)) as control:
        api = control.client()
        api.post("/api/v1/sites", json={"name": "north"}).raise_for_status()
        sync = enrol_box(api, "north", "box-1").sync()
        shut(postgres_server, name, to=True)
        answer = api.get("/api/v1/me")
        assert (answer.status_code, answer.json()["code"]) == (503, "BUSY")
        assert (api.get("/readyz").status_code, api.get("/livez").status_code) == (503, 200)
        with pytest.raises(grpc.RpcError) as caught:
            sync.PullPolicy(sync_pb2.PullPolicyRequest(), timeout=15)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        shut(postgres_server, name, to=False)
        assert api.get("/api/v1/me").status_code == 200
        assert api.get("/readyz").status_code == 200
        sync.PullPolicy(sync_pb2.PullPolicyRequest(), timeout=15)
    drop_database(postgres_server, name)
